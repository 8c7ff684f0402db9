import type { ExpressionType } from "../expression-type.ts";
import { called, type Operation } from "../operation.ts";

const listTypes: readonly ExpressionType[] = [
  "BOOL_LIST",
  "INT64_LIST",
  "DOUBLE_LIST",
  "FLOAT_LIST",
  "STRING_LIST",
  "BYTES_LIST",
  "TIMESTAMP_LIST",
];

/** cardinality(list): how many elements. */
export const cardinality: readonly Operation[] = listTypes.map((type) => ({
  name: "cardinality",
  takes: [type],
  gives: "INT64",
  strict: true,
  fails: false,
  evaluate: (value = null) => (Array.isArray(value) ? BigInt(value.length) : null),
  sql: called("len"),
}));
