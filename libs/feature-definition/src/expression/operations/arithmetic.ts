import { failing } from "../duckdb-literal.ts";
import { ExpressionEvaluationError } from "../expression-error.ts";
import { called, infix, type Operation, operation } from "../operation.ts";

/** Arithmetic of INT64 (checked) and DOUBLE (IEEE 754), as PostgreSQL's bigint and double precision. */
export const arithmetic: readonly Operation[] = [
  operation("+", ["INT64", "INT64"], "INT64", { fails: true, evaluate: (a, b) => checked(a + b), sql: infix("+") }),
  operation("-", ["INT64", "INT64"], "INT64", { fails: true, evaluate: (a, b) => checked(a - b), sql: infix("-") }),
  operation("*", ["INT64", "INT64"], "INT64", { fails: true, evaluate: (a, b) => checked(a * b), sql: infix("*") }),
  operation("/", ["INT64", "INT64"], "INT64", {
    fails: true,
    evaluate: (a, b) => (b === 0n ? fail("Division by zero") : checked(a / b)),
    sql: (a, b) =>
      `CASE WHEN ${b} = 0 AND ${a} IS NOT NULL THEN ${failing("INT64")} WHEN ${b} = -1 THEN (-${a}) ELSE (${a} // ${b}) END`,
  }),
  operation("%", ["INT64", "INT64"], "INT64", {
    fails: true,
    evaluate: (a, b) => (b === 0n ? fail("Division by zero") : a % b),
    sql: (a, b) =>
      `CASE WHEN ${b} = 0 AND ${a} IS NOT NULL THEN ${failing("INT64")} WHEN ${b} = -1 THEN (${a} & 0) ELSE (${a} % ${b}) END`,
  }),
  operation("-", ["INT64"], "INT64", { fails: true, evaluate: (a) => checked(-a), sql: (a) => `(-${a})` }),
  operation("+", ["INT64"], "INT64", { evaluate: (a) => a, sql: (a = "") => a }),
  operation("abs", ["INT64"], "INT64", { fails: true, evaluate: (a) => checked(a < 0n ? -a : a), sql: called("abs") }),

  operation("+", ["DOUBLE", "DOUBLE"], "DOUBLE", { evaluate: (a, b) => a + b, sql: infix("+") }),
  operation("-", ["DOUBLE", "DOUBLE"], "DOUBLE", { evaluate: (a, b) => a - b, sql: infix("-") }),
  operation("*", ["DOUBLE", "DOUBLE"], "DOUBLE", { evaluate: (a, b) => a * b, sql: infix("*") }),
  operation("/", ["DOUBLE", "DOUBLE"], "DOUBLE", {
    fails: true,
    evaluate: (a, b) => (b === 0 && !Number.isNaN(a) ? fail("Division by zero") : a / b),
    sql: (a, b) =>
      `CASE WHEN ${b} = 0 AND NOT isnan(${a}) THEN ${failing("DOUBLE")} WHEN ${b} = 0 THEN (${a} + ${b}) ELSE (${a} / ${b}) END`,
  }),
  operation("-", ["DOUBLE"], "DOUBLE", { evaluate: (a) => -a, sql: (a) => `(-${a})` }),
  operation("+", ["DOUBLE"], "DOUBLE", { evaluate: (a) => a, sql: (a = "") => a }),
  operation("abs", ["DOUBLE"], "DOUBLE", { evaluate: Math.abs, sql: called("abs") }),
];

/** Division by a literal that is not zero cannot fail, and needs no guard in SQL. */
export const divisionByLiteral: readonly Operation[] = [
  operation("/", ["INT64", "INT64"], "INT64", { evaluate: (a, b) => a / b, sql: infix("//") }),
  operation("%", ["INT64", "INT64"], "INT64", { evaluate: (a, b) => a % b, sql: infix("%") }),
  operation("/", ["DOUBLE", "DOUBLE"], "DOUBLE", { evaluate: (a, b) => a / b, sql: infix("/") }),
];

export const fail = (explanation: string): never => {
  throw new ExpressionEvaluationError(explanation);
};

/** The value, if 64 bits hold it. */
export const checked = (value: bigint): bigint =>
  BigInt.asIntN(64, value) === value ? value : fail("INT64 is out of range");
