import { create } from "@bufbuild/protobuf";
import { type Value, ValueSchema } from "@millrace/contracts/feast/types/Value";
import { type ColumnValues, ValueType } from "@millrace/contracts/millrace/feature/v1/column";
import { type CompiledField, elementType, type Scalar } from "@millrace/feature-definition";
import { ColumnInvalidError } from "../column-values.ts";

/*
 * Values between Feast's contract and ours. Feast has INT32 beside INT64 and seconds for timestamps; ours are INT64 and
 * microseconds. Unset, and `null_val`, are null.
 */

const microsecondsPerSecond = 1_000_000n;

/** Which of Feast's kinds of value a type takes. */
const takenCases: ReadonlyMap<ValueType, readonly string[]> = new Map([
  [ValueType.BOOL, ["boolVal"]],
  [ValueType.INT64, ["int64Val", "int32Val"]],
  [ValueType.DOUBLE, ["doubleVal", "floatVal", "int64Val", "int32Val"]],
  [ValueType.FLOAT, ["floatVal", "doubleVal", "int64Val", "int32Val"]],
  [ValueType.STRING, ["stringVal"]],
  [ValueType.BYTES, ["bytesVal"]],
  [ValueType.TIMESTAMP, ["unixTimestampVal"]],
  [ValueType.BOOL_LIST, ["boolListVal"]],
  [ValueType.INT64_LIST, ["int64ListVal", "int32ListVal"]],
  [ValueType.DOUBLE_LIST, ["doubleListVal", "floatListVal"]],
  [ValueType.FLOAT_LIST, ["floatListVal", "doubleListVal"]],
  [ValueType.STRING_LIST, ["stringListVal"]],
  [ValueType.BYTES_LIST, ["bytesListVal"]],
  [ValueType.TIMESTAMP_LIST, ["unixTimestampListVal"]],
]);

/**
 * A value of Feast's in the form of a field's type.
 * @param path where it stands in the request, for the error. @throws ColumnInvalidError
 */
export const scalarOfFeast = ({ val }: Value, field: CompiledField, path: string): Scalar => {
  if (val.case === undefined || val.case === "nullVal") return null;
  const taken = takenCases.get(field.type) ?? [];
  if (!taken.includes(val.case)) {
    throw new ColumnInvalidError(path, `${taken.map(protoName).join(" or ")} for ${field.name}`, protoName(val.case));
  }
  const { value } = val;
  const element = elementType(field.type);
  if (element === undefined) return elementOfFeast(value, field.type);
  const { val: elements } = value as { readonly val: readonly unknown[] };
  return elements.map((each) => elementOfFeast(each, element));
};

const elementOfFeast = (value: unknown, type: ValueType): Scalar => {
  switch (type) {
    case ValueType.INT64:
      return BigInt(value as number | bigint);
    case ValueType.TIMESTAMP:
      return (value as bigint) * microsecondsPerSecond;
    case ValueType.DOUBLE:
      return Number(value);
    case ValueType.FLOAT:
      return Math.fround(Number(value));
    default:
      return value as Scalar;
  }
};

/** `int64Val` as the contract writes it: `int64_val`. */
const protoName = (name: string): string => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

const nullValue = create(ValueSchema);

/**
 * The values of one of our columns, one a row.
 * @param isNull whether the row's value is null: columns hold the type's zero there.
 */
export const feastValues = (column: ColumnValues | undefined, isNull: (row: number) => boolean): Value[] => {
  const held = column?.values;
  if (held === undefined || held.case === undefined) return [];
  if (held.case === "lists") {
    const { offsets, elements } = held.value;
    return offsets.slice(1).map((end, row) => (isNull(row) ? nullValue : listValue(elements, offsets[row] ?? 0, end)));
  }
  const count = held.case === "timestamps" ? held.value.valuesUs.length : held.value.values.length;
  return Array.from({ length: count }, (_, row) => (isNull(row) ? nullValue : valueAt(held, row)));
};

type Held = Exclude<ColumnValues["values"], { case: undefined } | { case: "lists" }>;

const valueAt = (held: Held, row: number): Value => {
  switch (held.case) {
    case "bools":
      return feast({ case: "boolVal", value: held.value.values[row] ?? false });
    case "int64s":
      return feast({ case: "int64Val", value: held.value.values[row] ?? 0n });
    case "doubles":
      return feast({ case: "doubleVal", value: held.value.values[row] ?? 0 });
    case "floats":
      return feast({ case: "floatVal", value: held.value.values[row] ?? 0 });
    case "strings":
      return feast({ case: "stringVal", value: held.value.values[row] ?? "" });
    case "bytes":
      return feast({ case: "bytesVal", value: held.value.values[row] ?? new Uint8Array() });
    case "timestamps":
      return feast({ case: "unixTimestampVal", value: secondsOf(held.value.valuesUs[row] ?? 0n) });
  }
};

const listValue = (elements: ColumnValues | undefined, from: number, to: number): Value => {
  const held = elements?.values;
  switch (held?.case) {
    case "bools":
      return feast({ case: "boolListVal", value: list("BoolList", held.value.values.slice(from, to)) });
    case "int64s":
      return feast({ case: "int64ListVal", value: list("Int64List", held.value.values.slice(from, to)) });
    case "doubles":
      return feast({ case: "doubleListVal", value: list("DoubleList", held.value.values.slice(from, to)) });
    case "floats":
      return feast({ case: "floatListVal", value: list("FloatList", held.value.values.slice(from, to)) });
    case "strings":
      return feast({ case: "stringListVal", value: list("StringList", held.value.values.slice(from, to)) });
    case "bytes":
      return feast({ case: "bytesListVal", value: list("BytesList", held.value.values.slice(from, to)) });
    case "timestamps": {
      const seconds = held.value.valuesUs.slice(from, to).map(secondsOf);
      return feast({ case: "unixTimestampListVal", value: list("Int64List", seconds) });
    }
    default:
      return nullValue;
  }
};

const feast = (val: Value["val"]): Value => ({ $typeName: "feast.types.Value", val });

const list = <N extends string, T>(name: N, val: T[]) => ({ $typeName: `feast.types.${name}` as const, val });

/** Whole seconds, towards the past. */
const secondsOf = (us: bigint): bigint => {
  const seconds = us / microsecondsPerSecond;
  return us < 0n && us % microsecondsPerSecond !== 0n ? seconds - 1n : seconds;
};
