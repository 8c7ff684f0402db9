import type { Scalar } from "../compiled.ts";
import { duckDbType, type ExpressionType } from "./expression-type.ts";

/** A name as DuckDB reads it, whatever characters it holds. */
export const quoteIdentifier = (name: string): string => `"${name.replaceAll('"', '""')}"`;

/** A text as DuckDB reads it. DuckDB knows no backslash escapes in plain quotes, so doubling the quote is enough. */
export const quoteText = (text: string): string => `'${text.replaceAll("'", "''")}'`;

/** A value of a known type as DuckDB reads it. */
export const duckDbLiteral = (value: Scalar, type: ExpressionType): string => {
  if (value === null) return `CAST(NULL AS ${duckDbType(type)})`;
  if (typeof value === "boolean") return value ? "TRUE" : "FALSE";
  if (typeof value === "string") return quoteText(value);
  if (typeof value === "bigint") {
    const number = value < 0n ? `CAST('${value}' AS BIGINT)` : `CAST(${value} AS BIGINT)`;
    return type === "TIMESTAMP" || type === "LOCAL_TIMESTAMP" ? `make_timestamp(${number})` : number;
  }
  if (typeof value === "number") return `CAST('${numberText(value)}' AS ${duckDbType(type)})`;
  throw new TypeError(`A literal of type ${type} cannot be written in SQL.`);
};

/**
 * SQL that fails for the row on which it is evaluated, and not before. DuckDB's `error` counts as volatile, which TRY
 * refuses; a literal that cannot be cast fails at once, for all rows.
 */
export const failing = (type: ExpressionType): string => {
  const target = duckDbType(type);
  const failure = "sqrt(CAST(-1 AS DOUBLE))";
  return target === "TIMESTAMP" ? `make_timestamp(CAST(${failure} AS BIGINT))` : `CAST(${failure} AS ${target})`;
};

const numberText = (value: number): string => {
  if (Number.isNaN(value)) return "NaN";
  if (value === Number.POSITIVE_INFINITY) return "Infinity";
  if (value === Number.NEGATIVE_INFINITY) return "-Infinity";
  return Object.is(value, -0) ? "-0" : String(value);
};
