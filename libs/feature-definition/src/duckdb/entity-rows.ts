import {
  BIGINT,
  BLOB,
  BOOLEAN,
  blobValue,
  DOUBLE,
  DuckDBDataChunk,
  type DuckDBType,
  type DuckDBValue,
  FLOAT,
  LIST,
  listValue,
  VARCHAR,
} from "@duckdb/node-api";
import { ValueType } from "@millrace/contracts/millrace/feature/v1/column";
import { type DataType, type RecordBatch, type Table, TimeUnit, Type, tableFromIPC, Vector } from "apache-arrow";
import type { CompiledFeatureService, CompiledField, Scalar } from "../compiled.ts";
import { sha256Bytes } from "../digest.ts";
import { quoteIdentifier } from "../expression/duckdb-literal.ts";
import { duckDbType, expressionType, valueTypeName } from "../expression/expression-type.ts";
import { elementType } from "../list-type.ts";
import { scalarFromArrow } from "./arrow-columns.ts";
import { ColumnInvalidError } from "./column-invalid-error.ts";
import type { DuckDbSession } from "./duckdb-session.ts";
import type { KeptColumn } from "./training-set-sql.ts";

/** Entity rows that lie in the table `entity_rows`. */
export interface LoadedEntityRows {
  readonly rows: number;
  /** Hash of what the rows are. */
  readonly tag: string;
  /** What is kept beside the features: record batches in the order of `__ordinal`, or columns of the table. */
  readonly kept:
    | { readonly kind: "batches"; readonly batches: readonly RecordBatch[] }
    | { readonly kind: "columns"; readonly columns: readonly KeptColumn[] };
}

/**
 * Puts the keys, request fields and times of an Arrow IPC stream into `entity_rows`. The other columns stay where they
 * are: they come out as they came in.
 * @throws ColumnInvalidError if a column is missing, has another type, or a time is null.
 */
export const loadArrowEntityRows = async (
  ipc: Uint8Array,
  service: CompiledFeatureService,
  eventTime: string,
  session: DuckDbSession,
): Promise<LoadedEntityRows> => {
  const table = readTable(ipc);
  const needed = neededColumns(service, eventTime);
  const violations = needed.flatMap(({ name, type }) => {
    const field = table.schema.fields.find((candidate) => candidate.name === name);
    if (field !== undefined && fits(field.type, type)) return [];
    return [
      {
        field: `entity_rows.${name}`,
        expected: `a column of type ${valueTypeName(type)}`,
        got: field === undefined ? "no such column" : String(field.type),
      },
    ];
  });
  const taken = new Set(service.features.map(({ fullName }) => fullName));
  for (const { name } of table.schema.fields) {
    if (taken.has(name))
      violations.push({ field: `entity_rows.${name}`, expected: "a name that no feature has", got: name });
  }
  if (violations.length > 0) throw new ColumnInvalidError(violations);
  const columns = [
    '"__ordinal" BIGINT',
    '"__time" BIGINT',
    ...needed.slice(1).map(({ name, type }) => `${quoteIdentifier(`raw ${name}`)} ${rawType(type)}`),
  ];
  await session.connection.run(`CREATE TEMP TABLE entity_rows_raw (${columns.join(", ")})`);
  const appender = await session.connection.createAppender("entity_rows_raw");
  let ordinal = 0;
  try {
    const types = [BIGINT, ...needed.map(({ type }) => chunkType(type))];
    for (const batch of table.batches) {
      for (let start = 0; start < batch.numRows; start += chunkRows) {
        const rows = Math.min(chunkRows, batch.numRows - start);
        const chunk = DuckDBDataChunk.create(types, rows);
        chunk.setColumnValues(
          0,
          Array.from({ length: rows }, (_, row) => BigInt(ordinal + row)),
        );
        needed.forEach((column, index) => {
          chunk.setColumnValues(index + 1, columnValues(batch, column, start, rows, ordinal));
        });
        const times = chunk.getColumnValues(1);
        const missing = times.indexOf(null);
        if (missing >= 0) {
          throw new ColumnInvalidError([
            { field: `entity_rows.${eventTime}[${ordinal + missing}]`, expected: "a time", got: "null" },
          ]);
        }
        appender.appendDataChunk(chunk);
        ordinal += rows;
      }
    }
    appender.flushSync();
  } finally {
    appender.closeSync();
  }
  const selected = needed.slice(1).map(({ name, type }) => {
    const raw = quoteIdentifier(`raw ${name}`);
    return `${instantsSql(raw, type)} AS ${quoteIdentifier(name)}`;
  });
  await session.connection.run(
    `CREATE TEMP VIEW entity_rows AS SELECT ${['"__ordinal"', '"__time"', ...selected].join(", ")} FROM entity_rows_raw`,
  );
  return { rows: ordinal, tag: sha256Bytes(ipc), kept: { kind: "batches", batches: table.batches } };
};

/** The event time first, then keys and request fields, each once. */
export const neededColumns = (service: CompiledFeatureService, eventTime: string): CompiledField[] => [
  { name: eventTime, type: ValueType.TIMESTAMP },
  ...[...service.entityKeys, ...service.requestFields],
];

const chunkRows = 2048;

const readTable = (ipc: Uint8Array): Table => {
  try {
    return tableFromIPC(ipc);
  } catch (error) {
    const got = error instanceof Error ? error.message : String(error);
    throw new ColumnInvalidError([{ field: "entity_rows.arrow", expected: "an Arrow IPC stream", got }]);
  }
};

/** Instants travel as integers, since DuckDB's values of them in chunks cost an object each. */
const instantsSql = (raw: string, type: ValueType): string => {
  if (type === ValueType.TIMESTAMP) return `make_timestamp(${raw})`;
  return type === ValueType.TIMESTAMP_LIST ? `list_transform(${raw}, lambda us: make_timestamp(us))` : raw;
};

const columnValues = (
  batch: RecordBatch,
  { name, type, length }: CompiledField,
  start: number,
  rows: number,
  ordinal: number,
): DuckDBValue[] => {
  const vector = batch.getChild(name);
  const read = readerOf(type, vector?.type);
  return Array.from({ length: rows }, (_, row) => {
    const value = read(vector, start + row);
    const field = `entity_rows.${name}[${ordinal + row}]`;
    if (value === undefined) {
      const got = String(vector?.get(start + row));
      throw new ColumnInvalidError([{ field, expected: `a value of type ${valueTypeName(type)}`, got }]);
    }
    if (length !== undefined && Array.isArray(value) && value.length !== length) {
      throw new ColumnInvalidError([{ field, expected: `${length} elements`, got: String(value.length) }]);
    }
    return duckDbValue(value);
  });
};

const duckDbValue = (value: Scalar): DuckDBValue => {
  if (value instanceof Uint8Array) return blobValue(value);
  if (typeof value === "object" && value !== null) return listValue(value.map(duckDbValue));
  return value;
};

type ArrowVector = ReturnType<RecordBatch["getChild"]>;

/** Reads a row of a vector as a value of a type; undefined where it does not fit. */
const readerOf = (
  type: ValueType,
  arrow: DataType | undefined,
): ((vector: ArrowVector, row: number) => Scalar | undefined) => {
  if (type === ValueType.TIMESTAMP) {
    const read = instantReader(arrow);
    return (vector, row) => read(rawInstant(vector, row));
  }
  const element = elementType(type);
  if (element === undefined) return (vector, row) => scalarFromArrow(vector?.get(row), type);
  const readElement = readerOf(element, arrow?.children[0]?.type);
  return (vector, row) => {
    const list: unknown = vector?.get(row) ?? null;
    if (list === null) return null;
    if (!(list instanceof Vector)) return undefined;
    const values: Scalar[] = [];
    for (let index = 0; index < list.length; index++) {
      const value = readElement(list, index);
      if (value === undefined) return undefined;
      values.push(value);
    }
    return values;
  };
};

/** The stored number of a timestamp: Arrow's `get` would round it to milliseconds. */
const rawInstant = (vector: ArrowVector, row: number): unknown => {
  if (vector === null || !vector.isValid(row)) return null;
  const [data] = vector.data;
  return data?.values[row];
};

const instantReader = (type: DataType | undefined): ((value: unknown) => Scalar | undefined) => {
  const unit = (type as { readonly unit?: TimeUnit } | undefined)?.unit;
  return (value) => {
    if (value === null) return null;
    if (typeof value !== "bigint" && typeof value !== "number") return undefined;
    const count = BigInt(value);
    if (unit === TimeUnit.SECOND) return count * 1_000_000n;
    if (unit === TimeUnit.MILLISECOND) return count * 1_000n;
    if (unit === TimeUnit.NANOSECOND) return count / 1_000n - (count % 1_000n < 0n ? 1n : 0n);
    return count;
  };
};

const fits = (arrow: DataType, type: ValueType): boolean => {
  const element = elementType(type);
  if (element !== undefined) {
    const [child] = arrow.children ?? [];
    const isList = arrow.typeId === Type.List || arrow.typeId === Type.FixedSizeList;
    return isList && child !== undefined && fits(child.type, element);
  }
  const inner =
    arrow.typeId === Type.Dictionary ? (arrow as unknown as { readonly dictionary: DataType }).dictionary : arrow;
  switch (type) {
    case ValueType.TIMESTAMP:
      return inner.typeId === Type.Timestamp;
    case ValueType.INT64:
      return inner.typeId === Type.Int;
    case ValueType.DOUBLE:
      return inner.typeId === Type.Float || inner.typeId === Type.Int;
    case ValueType.FLOAT:
      return inner.typeId === Type.Float;
    case ValueType.STRING:
      return inner.typeId === Type.Utf8 || inner.typeId === Type.LargeUtf8;
    case ValueType.BOOL:
      return inner.typeId === Type.Bool;
    case ValueType.BYTES:
      return inner.typeId === Type.Binary || inner.typeId === Type.LargeBinary;
    default:
      return false;
  }
};

const rawType = (type: ValueType): string => {
  if (type === ValueType.TIMESTAMP) return "BIGINT";
  return type === ValueType.TIMESTAMP_LIST ? "BIGINT[]" : duckDbType(expressionType(type));
};

const chunkType = (type: ValueType): DuckDBType => {
  const element = elementType(type);
  if (element !== undefined) return LIST(chunkType(element));
  switch (type) {
    case ValueType.DOUBLE:
      return DOUBLE;
    case ValueType.FLOAT:
      return FLOAT;
    case ValueType.STRING:
      return VARCHAR;
    case ValueType.BOOL:
      return BOOLEAN;
    case ValueType.BYTES:
      return BLOB;
    default:
      return BIGINT;
  }
};
