import { ValueType } from "@millrace/contracts/millrace/feature/v1/column";

const integers = ["TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER"];
const times = ["TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "TIMESTAMP WITH TIME ZONE", "DATE"];

/** The types of a file's columns that can stand for each type, without loss but for the rounding to DOUBLE. */
const accepted: readonly (readonly [ValueType, (duckDb: string) => boolean])[] = [
  [ValueType.BOOL, (type) => type === "BOOLEAN"],
  [ValueType.INT64, (type) => integers.includes(type)],
  [
    ValueType.DOUBLE,
    (type) => type === "DOUBLE" || type === "FLOAT" || type.startsWith("DECIMAL") || integers.includes(type),
  ],
  [ValueType.FLOAT, (type) => type === "FLOAT"],
  [ValueType.STRING, (type) => type === "VARCHAR" || type.startsWith("ENUM")],
  [ValueType.BYTES, (type) => type === "BLOB"],
  [ValueType.TIMESTAMP, (type) => times.includes(type)],
  [ValueType.BOOL_LIST, (type) => type === "BOOLEAN[]"],
  [ValueType.INT64_LIST, (type) => integers.some((element) => type === `${element}[]`)],
  [ValueType.DOUBLE_LIST, (type) => type === "DOUBLE[]" || type === "FLOAT[]"],
  [ValueType.FLOAT_LIST, (type) => type === "FLOAT[]"],
  [ValueType.STRING_LIST, (type) => type === "VARCHAR[]"],
  [ValueType.BYTES_LIST, (type) => type === "BLOB[]"],
  [ValueType.TIMESTAMP_LIST, (type) => times.some((element) => type === `${element}[]`)],
];

/** Whether a column of this DuckDB type can stand for a value type. */
export const acceptsColumn = (type: ValueType, duckDb: string): boolean =>
  accepted.some(([candidate, accepts]) => candidate === type && accepts(duckDb));

const natural: readonly ValueType[] = [
  ValueType.BOOL,
  ValueType.INT64,
  ValueType.FLOAT,
  ValueType.DOUBLE,
  ValueType.STRING,
  ValueType.BYTES,
  ValueType.TIMESTAMP,
  ValueType.BOOL_LIST,
  ValueType.INT64_LIST,
  ValueType.FLOAT_LIST,
  ValueType.DOUBLE_LIST,
  ValueType.STRING_LIST,
  ValueType.BYTES_LIST,
  ValueType.TIMESTAMP_LIST,
];

/** The value type that a column of a file has by itself; undefined where there is none. */
export const naturalType = (duckDb: string): ValueType | undefined =>
  natural.find((type) => acceptsColumn(type, duckDb));
