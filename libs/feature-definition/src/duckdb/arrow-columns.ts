import type { DuckDBVector } from "@duckdb/node-api";
import { ValueType } from "@millrace/contracts/millrace/feature/v1/column";
import {
  Binary,
  Bool,
  type Data,
  type DataType,
  Field,
  Float32,
  Float64,
  Int64,
  List,
  makeData,
  TimestampMicrosecond,
  Utf8,
  vectorFromArray,
} from "apache-arrow";
import type { Scalar } from "../compiled.ts";

/** The Arrow type of a value type. Instants are in microseconds, at UTC. */
export const arrowType = (type: ValueType): DataType => {
  const make = arrowTypes.get(type);
  if (make === undefined) throw new TypeError(`Value type ${type} has no Arrow type.`);
  return make();
};

const timestamp = (): DataType => new TimestampMicrosecond("UTC");
const list = (element: () => DataType) => (): DataType => new List(new Field("item", element(), true));

const arrowTypes = new Map<ValueType, () => DataType>([
  [ValueType.BOOL, () => new Bool()],
  [ValueType.INT64, () => new Int64()],
  [ValueType.DOUBLE, () => new Float64()],
  [ValueType.FLOAT, () => new Float32()],
  [ValueType.STRING, () => new Utf8()],
  [ValueType.BYTES, () => new Binary()],
  [ValueType.TIMESTAMP, timestamp],
  [ValueType.BOOL_LIST, list(() => new Bool())],
  [ValueType.INT64_LIST, list(() => new Int64())],
  [ValueType.DOUBLE_LIST, list(() => new Float64())],
  [ValueType.FLOAT_LIST, list(() => new Float32())],
  [ValueType.STRING_LIST, list(() => new Utf8())],
  [ValueType.BYTES_LIST, list(() => new Binary())],
  [ValueType.TIMESTAMP_LIST, list(timestamp)],
]);

/** Collects one column of a record batch from DuckDB's vectors, in typed arrays. */
export interface ColumnBuilder {
  /** Appends rows `start` up to but not including `end` of a vector. */
  append(vector: DuckDBVector, start: number, end: number): void;
  /** The column so far; the builder must not be used after it. */
  finish(): Data;
}

/** @param capacity the most rows that will be appended. */
export const columnBuilder = (type: ValueType, capacity: number): ColumnBuilder => {
  switch (type) {
    case ValueType.INT64:
    case ValueType.TIMESTAMP:
      return fixedWidth(type, new BigInt64Array(capacity), (values, index, value) => {
        values[index] = BigInt(value as bigint);
      });
    case ValueType.DOUBLE:
      return fixedWidth(type, new Float64Array(capacity), setNumber);
    case ValueType.FLOAT:
      return fixedWidth(type, new Float32Array(capacity), setNumber);
    case ValueType.BOOL:
      return fixedWidth(type, new Uint8Array(Math.ceil(capacity / 8)), (values, index, value) => {
        if (value === true) values[index >> 3] = (values[index >> 3] ?? 0) | (1 << (index & 7));
      });
    default:
      return anyWidth(type);
  }
};

const setNumber = (values: Float64Array | Float32Array, index: number, value: unknown): void => {
  values[index] = value as number;
};

const fixedWidth = <T extends BigInt64Array | Float64Array | Float32Array | Uint8Array>(
  type: ValueType,
  values: T,
  set: (values: T, index: number, value: unknown) => void,
): ColumnBuilder => {
  const validity = new Uint8Array(Math.ceil((values.length * (type === ValueType.BOOL ? 8 : 1)) / 8));
  let length = 0;
  let nullCount = 0;
  return {
    append: (vector, start, end) => {
      for (let row = start; row < end; row++) {
        const value = vector.getItem(row);
        if (value === null) {
          nullCount++;
        } else {
          set(values, length, value);
          validity[length >> 3] = (validity[length >> 3] ?? 0) | (1 << (length & 7));
        }
        length++;
      }
    },
    finish: () =>
      makeData({
        type: arrowType(type),
        length,
        nullCount,
        nullBitmap: validity,
        data: values,
      } as unknown as Parameters<typeof makeData>[0]) as Data,
  };
};

/** Texts, bytes and lists: by Arrow's own builders. */
const anyWidth = (type: ValueType): ColumnBuilder => {
  const values: unknown[] = [];
  return {
    append: (vector, start, end) => {
      for (let row = start; row < end; row++) values.push(plainValue(vector.getItem(row)));
    },
    finish: () => {
      // Arrow's builders take instants in milliseconds, which lose the microseconds: they are built as integers.
      const isInstants = type === ValueType.TIMESTAMP_LIST;
      const [data] = vectorFromArray(values, arrowType(isInstants ? ValueType.INT64_LIST : type)).data;
      if (data === undefined) throw new TypeError("Arrow built a column without data.");
      if (!isInstants) return data as Data;
      const [elements] = data.children;
      if (elements === undefined) throw new TypeError("Arrow built a list without elements.");
      return data.clone(arrowType(type), data.offset, data.length, data.nullCount, data.buffers, [
        elements.clone(timestamp()),
      ]) as Data;
    },
  };
};

/** A value of DuckDB's without its wrappers of blobs, instants (microseconds) and lists. */
export const plainValue = (value: unknown): unknown => {
  if (typeof value !== "object" || value === null) return value;
  if ("bytes" in value) return value.bytes;
  if ("micros" in value) return value.micros;
  if ("items" in value && Array.isArray(value.items)) return value.items.map(plainValue);
  return value;
};

/** A value of an Arrow column as this package holds it; undefined where the type does not fit. */
export const scalarFromArrow = (value: unknown, type: ValueType): Scalar | undefined => {
  if (value === null || value === undefined) return null;
  switch (type) {
    case ValueType.INT64:
      return typeof value === "bigint"
        ? value
        : typeof value === "number" && Number.isInteger(value)
          ? BigInt(value)
          : undefined;
    case ValueType.DOUBLE:
    case ValueType.FLOAT:
      return typeof value === "number" ? value : typeof value === "bigint" ? Number(value) : undefined;
    case ValueType.STRING:
      return typeof value === "string" ? value : undefined;
    case ValueType.BOOL:
      return typeof value === "boolean" ? value : undefined;
    case ValueType.BYTES:
      return value instanceof Uint8Array ? value : undefined;
    default:
      return undefined;
  }
};
