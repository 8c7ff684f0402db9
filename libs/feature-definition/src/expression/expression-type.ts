import { ValueType } from "@millrace/contracts/millrace/feature/v1/column";

/** What TypeScript holds for a value of each scalar type. LOCAL_TIMESTAMP and INTERVAL are microseconds. */
export interface ValueOfType {
  BOOL: boolean;
  INT64: bigint;
  DOUBLE: number;
  FLOAT: number;
  STRING: string;
  BYTES: Uint8Array;
  TIMESTAMP: bigint;
  LOCAL_TIMESTAMP: bigint;
  INTERVAL: bigint;
}

export type ScalarType = keyof ValueOfType;

/**
 * The type of a part of an expression. Beside the types of columns there are three that only exist inside: UNKNOWN (a
 * bare NULL or quoted literal, typed by what stands around it), LOCAL_TIMESTAMP (a wall clock, the result of
 * `AT TIME ZONE`) and INTERVAL (a span of fixed length).
 */
export type ExpressionType = ScalarType | "UNKNOWN" | ListType;

type ListType =
  | "BOOL_LIST"
  | "INT64_LIST"
  | "DOUBLE_LIST"
  | "FLOAT_LIST"
  | "STRING_LIST"
  | "BYTES_LIST"
  | "TIMESTAMP_LIST";

const columnTypes: readonly (readonly [ExpressionType, ValueType, string])[] = [
  ["BOOL", ValueType.BOOL, "BOOLEAN"],
  ["INT64", ValueType.INT64, "BIGINT"],
  ["DOUBLE", ValueType.DOUBLE, "DOUBLE"],
  ["FLOAT", ValueType.FLOAT, "FLOAT"],
  ["STRING", ValueType.STRING, "VARCHAR"],
  ["BYTES", ValueType.BYTES, "BLOB"],
  ["TIMESTAMP", ValueType.TIMESTAMP, "TIMESTAMP"],
  ["BOOL_LIST", ValueType.BOOL_LIST, "BOOLEAN[]"],
  ["INT64_LIST", ValueType.INT64_LIST, "BIGINT[]"],
  ["DOUBLE_LIST", ValueType.DOUBLE_LIST, "DOUBLE[]"],
  ["FLOAT_LIST", ValueType.FLOAT_LIST, "FLOAT[]"],
  ["STRING_LIST", ValueType.STRING_LIST, "VARCHAR[]"],
  ["BYTES_LIST", ValueType.BYTES_LIST, "BLOB[]"],
  ["TIMESTAMP_LIST", ValueType.TIMESTAMP_LIST, "TIMESTAMP[]"],
];

const byValueType = new Map(columnTypes.map(([name, value]) => [value, name]));
const byName = new Map(columnTypes.map(([name, value]) => [name, value]));
const duckDbNames = new Map<ExpressionType, string>(columnTypes.map(([name, , duckDb]) => [name, duckDb]));

/** The inner name of a column's type. */
export const expressionType = (type: ValueType): ExpressionType => byValueType.get(type) ?? "UNKNOWN";

/** The column type of an inner type; undefined for those that only exist inside of expressions. */
export const valueType = (type: ExpressionType): ValueType | undefined => byName.get(type);

/** DuckDB's name of a type. An INTERVAL is a BIGINT of microseconds there, a LOCAL_TIMESTAMP a TIMESTAMP. */
export const duckDbType = (type: ExpressionType): string =>
  type === "INTERVAL" ? "BIGINT" : (duckDbNames.get(type) ?? "TIMESTAMP");

/** The word for a column type, as YAML writes it. */
export const valueTypeName = (type: ValueType): string => byValueType.get(type) ?? "VALUE_TYPE_UNSPECIFIED";
