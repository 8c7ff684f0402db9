import { failing } from "../duckdb-literal.ts";
import type { ExpressionType } from "../expression-type.ts";
import { type Operation, operation } from "../operation.ts";
import { checked, fail } from "./arithmetic.ts";
import { roundHalfToEven } from "./mathematics.ts";

const castTo =
  (type: string) =>
  (value = ""): string =>
    `CAST(${value} AS ${type})`;

const wholeNumber = /^\s*[+-]?[0-9]+\s*$/;
const number = /^\s*[+-]?(([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?|inf|infinity|nan)\s*$/i;

const trimmed = (value: string): string => `trim(${value}, E' \\t\\n\\r\\f\\v')`;
const matches = (value: string, pattern: RegExp): string =>
  `regexp_full_match(${value}, '${pattern.source.slice(1, -1)}'${pattern.ignoreCase ? ", 'i'" : ""})`;

/**
 * DuckDB would also read `1.5` as a whole number. Only what is tried can stand in a branch that is not taken: DuckDB
 * computes constants before it looks at conditions, and a cast that fails there fails the query.
 */
const wholeFromText = (value = ""): string => {
  const cast = `TRY_CAST(${trimmed(value)} AS BIGINT)`;
  const isNone = `NOT ${matches(value, wholeNumber)} OR ${cast} IS NULL`;
  return `CASE WHEN ${value} IS NOT NULL AND (${isNone}) THEN ${failing("INT64")} ELSE ${cast} END`;
};

/** DuckDB reads `1e999` as infinite and `1e-999` as 0; PostgreSQL refuses both. */
const doubleFromText = (value = ""): string => {
  const cast = `TRY_CAST(${trimmed(value)} AS DOUBLE)`;
  const lost = `(isinf(${cast}) AND NOT regexp_matches(${value}, '[iI]')) OR (${cast} = 0 AND regexp_matches(${value}, '^[^eE]*[1-9]'))`;
  return `CASE WHEN ${value} IS NOT NULL AND NOT ${matches(value, number)} THEN ${failing("DOUBLE")} WHEN ${lost} THEN ${failing("DOUBLE")} ELSE ${cast} END`;
};

/** Explicit casts between the scalar types; those between equal types need none. */
export const casts: readonly Operation[] = [
  operation("::DOUBLE", ["INT64"], "DOUBLE", { evaluate: Number, sql: castTo("DOUBLE") }),
  operation("::DOUBLE", ["FLOAT"], "DOUBLE", { evaluate: (value) => value, sql: castTo("DOUBLE") }),
  operation("::FLOAT", ["INT64"], "FLOAT", {
    evaluate: (value) => Math.fround(Number(value)),
    sql: (value) => `CAST(CAST(${value} AS DOUBLE) AS FLOAT)`,
  }),
  operation("::FLOAT", ["DOUBLE"], "FLOAT", {
    fails: true,
    evaluate: (value) => {
      const single = Math.fround(value);
      return Number.isFinite(value) && !Number.isFinite(single) ? fail("FLOAT is out of range") : single;
    },
    sql: (value) =>
      `CASE WHEN isfinite(${value}) AND abs(${value}) >= 3.4028235677973366e38 THEN ${failing("FLOAT")} ELSE CAST(${value} AS FLOAT) END`,
  }),
  operation("::INT64", ["DOUBLE"], "INT64", {
    fails: true,
    evaluate: (value) => {
      const rounded = roundHalfToEven(value);
      return rounded >= -(2 ** 63) && rounded < 2 ** 63 ? BigInt(rounded) : fail("INT64 is out of range");
    },
    // DuckDB's cast rounds half to even; its round_even errs from 2^49 on.
    sql: (value) => `CAST(${value} AS BIGINT)`,
  }),
  operation("::INT64", ["BOOL"], "INT64", { evaluate: (value) => (value ? 1n : 0n), sql: castTo("BIGINT") }),
  operation("::BOOL", ["INT64"], "BOOL", { evaluate: (value) => value !== 0n, sql: (value) => `(${value} <> 0)` }),
  operation("::INT64", ["STRING"], "INT64", {
    fails: true,
    evaluate: (value) =>
      wholeNumber.test(value) ? checked(wholeFrom(value)) : fail(`${JSON.stringify(value)} is no INT64`),
    sql: wholeFromText,
  }),
  operation("::DOUBLE", ["STRING"], "DOUBLE", {
    fails: true,
    evaluate: (value) => parseDouble(value) ?? fail(`${JSON.stringify(value)} is no DOUBLE`),
    sql: doubleFromText,
  }),
  operation("::STRING", ["INT64"], "STRING", { evaluate: String, sql: castTo("VARCHAR") }),
  operation("::STRING", ["BOOL"], "STRING", { evaluate: String, sql: castTo("VARCHAR") }),
];

/** The cast from one type to another; undefined where there is none. */
export const castOperation = (from: ExpressionType, to: ExpressionType): Operation | undefined =>
  casts.find(({ takes, gives }) => takes[0] === from && gives === to);

/** A number as PostgreSQL reads it; undefined if it is none, or is beyond DOUBLE. */
export const parseDouble = (text: string): number | undefined => {
  if (!number.test(text)) return undefined;
  const word = text.trim().toLowerCase();
  if (/nan$/.test(word)) return Number.NaN;
  if (/inf(inity)?$/.test(word)) return word.startsWith("-") ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
  const value = Number(word);
  const isLost = !Number.isFinite(value) || (value === 0 && /^[^e]*[1-9]/.test(word));
  return isLost ? undefined : value;
};

const wholeFrom = (text: string): bigint => BigInt(text.trim().replace(/^\+/, ""));
