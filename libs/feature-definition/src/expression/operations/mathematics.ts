import { failing } from "../duckdb-literal.ts";
import { called, infix, type Operation, operation } from "../operation.ts";
import { fail } from "./arithmetic.ts";

/** Rounds to the nearest whole number, halves to the even one, as C's rint and PostgreSQL's round(double precision). */
export const roundHalfToEven = (value: number): number => {
  if (!Number.isFinite(value) || Math.abs(value) >= 2 ** 52) return value;
  const floor = Math.floor(value);
  const difference = value - floor;
  const up = difference > 0.5 || (difference === 0.5 && floor % 2 !== 0);
  const rounded = up ? floor + 1 : floor;
  return rounded === 0 && value < 0 ? -0 : rounded;
};

const unary = (name: string, evaluate: (value: number) => number, sqlName = name): Operation =>
  operation(name, ["DOUBLE"], "DOUBLE", { evaluate, sql: called(sqlName) });

/** A function of DOUBLE that has no result where `refused` says so; DuckDB's condition is given beside it. */
const guarded = (
  name: string,
  evaluate: (value: number) => number,
  refused: (value: number) => boolean,
  refusedSql: (value: string) => string,
  sqlName = name,
): Operation =>
  operation(name, ["DOUBLE"], "DOUBLE", {
    fails: true,
    evaluate: (value) => (refused(value) ? fail(`${name} has no result for ${value}`) : evaluate(value)),
    sql: (value = "") => `CASE WHEN ${refusedSql(value)} THEN ${failing("DOUBLE")} ELSE ${sqlName}(${value}) END`,
  });

const infinite = (value: number): boolean => value === Number.POSITIVE_INFINITY || value === Number.NEGATIVE_INFINITY;
const infiniteSql = (value: string): string => `isinf(${value})`;
const logarithm = (name: string, evaluate: (value: number) => number, sqlName: string): Operation =>
  guarded(
    name,
    evaluate,
    (value) => value <= 0,
    (value) => `${value} <= 0`,
    sqlName,
  );
const outsideOne = (value: number): boolean => value < -1 || value > 1;
const outsideOneSql = (value: string): string => `(${value} < -1 OR (${value} > 1 AND NOT isnan(${value})))`;

/** Functions of double precision. Results may differ from another library's in the last digit. */
export const mathematics: readonly Operation[] = [
  unary("sign", (value) => (value > 0 ? 1 : value < 0 ? -1 : 0)),
  unary("ceil", Math.ceil),
  unary("ceiling", Math.ceil, "ceil"),
  unary("floor", Math.floor),
  unary("trunc", Math.trunc),
  operation("round", ["DOUBLE"], "DOUBLE", {
    evaluate: roundHalfToEven,
    // DuckDB's round_even errs from 2^49 on; from 2^52 on there are no fractions.
    sql: (value) =>
      `CASE WHEN abs(${value}) < 281474976710656 THEN round_even(${value}, 0) WHEN abs(${value}) < 4503599627370496 THEN CAST(CAST(${value} AS BIGINT) AS DOUBLE) ELSE ${value} END`,
  }),
  guarded(
    "sqrt",
    Math.sqrt,
    (value) => value < 0,
    (value) => `${value} < 0`,
  ),
  unary("cbrt", Math.cbrt),
  unary("exp", Math.exp),
  logarithm("ln", Math.log, "ln"),
  logarithm("log", Math.log10, "log10"),
  logarithm("log10", Math.log10, "log10"),
  guarded("sin", Math.sin, infinite, infiniteSql),
  guarded("cos", Math.cos, infinite, infiniteSql),
  guarded("tan", Math.tan, infinite, infiniteSql),
  guarded("asin", Math.asin, outsideOne, outsideOneSql),
  guarded("acos", Math.acos, outsideOne, outsideOneSql),
  unary("atan", Math.atan),
  operation("atan2", ["DOUBLE", "DOUBLE"], "DOUBLE", { evaluate: Math.atan2, sql: called("atan2") }),
  unary("degrees", (value) => value * (180 / Math.PI)),
  unary("radians", (value) => value * (Math.PI / 180)),
  operation("pi", [], "DOUBLE", { evaluate: () => Math.PI, sql: called("pi") }),
  ...["power", "pow", "^"].map((name) =>
    operation(name, ["DOUBLE", "DOUBLE"], "DOUBLE", {
      fails: true,
      evaluate: power,
      sql: (base, exponent) =>
        `CASE WHEN (${base} = 0 AND ${exponent} < 0) OR (${base} < 0 AND ${exponent} <> trunc(${exponent})) THEN ${failing("DOUBLE")} ELSE pow(${base}, ${exponent}) END`,
    }),
  ),
  operation("mod", ["INT64", "INT64"], "INT64", {
    fails: true,
    evaluate: (a, b) => (b === 0n ? fail("Division by zero") : a % b),
    sql: (a, b) =>
      `CASE WHEN ${b} = 0 AND ${a} IS NOT NULL THEN ${failing("INT64")} WHEN ${b} = -1 THEN (${a} & 0) ELSE ${infix("%")(a ?? "", b ?? "")} END`,
  }),
];

/** C's pow where it differs from JavaScript's, and PostgreSQL's two refusals. */
function power(base: number, exponent: number): number {
  if (base === 0 && exponent < 0) return fail("Zero raised to a negative power");
  if (base < 0 && Number.isFinite(exponent) && !Number.isInteger(exponent)) {
    return fail("A negative number raised to a power that is not whole");
  }
  if (base === 1 || exponent === 0 || (base === -1 && infinite(exponent))) return 1;
  return base ** exponent;
}
