import { ValueType } from "@millrace/contracts/millrace/feature/v1/column";
import { describe, expect, test } from "vitest";
import { compileExpression } from "./compile-expression.ts";
import { ExpressionEvaluationError, ExpressionInvalidError } from "./expression-error.ts";

const columns = [
  { name: "delay", type: ValueType.DOUBLE },
  { name: "count", type: ValueType.INT64 },
  { name: "note", type: ValueType.STRING },
  { name: "at", type: ValueType.TIMESTAMP },
  { name: 'odd " name', type: ValueType.INT64 },
];

const refusal = (text: string, type?: ValueType): string => {
  try {
    compileExpression(text, columns, type);
  } catch (error) {
    if (error instanceof ExpressionInvalidError) return error.explanation;
    throw error;
  }
  throw new Error(`${text} was not refused`);
};

describe("an expression is refused", () => {
  test.each([
    ["delay +", "syntax error at end of input at character 8"],
    ["dely > 1", 'there is no column "dely"'],
    ["1); DROP TABLE x; --", "syntax error"],
    ["1 FROM secrets", "more than one scalar expression"],
    ["1, 2", "more than one scalar expression"],
    ["1 AS one", "more than one scalar expression"],
    ["1; SELECT 2", "more than one scalar expression"],
    ["(SELECT 1)", "a query within an expression"],
    ["$1", "a parameter"],
    ["now()", "now is not in the subset"],
    ["current_timestamp", "the current time or user"],
    ["random()", "random is not in the subset"],
    ["pg_sleep(10)", "pg_sleep is not in the subset"],
    ["count(*)", "an aggregate or a window"],
    ["sum(delay) OVER ()", "an aggregate or a window"],
    ["note ~ 'a.*'", "~ is not in the subset"],
    ["note + 1", "+ does not take (STRING, INT64)"],
    ["note > 1", "> mixes STRING and INT64"],
    ["CASE WHEN delay THEN 1 END", "a condition needs BOOL"],
    ["delay::date", "the type date is not in the subset"],
    ["at - INTERVAL '1 month'", "'1 month' is no value of type INTERVAL"],
    ["at AT TIME ZONE 'Nowhere/Land'", "the quoted name of a zone"],
    ["at - at", "its type is INTERVAL"],
    ["1 / 0", "fails for every row"],
    ["'abc'::bigint", "'abc' is no value of type INT64"],
    ["other.delay", "named by one name alone"],
    ["", "it is empty"],
  ])("%s", (text, explanation) => {
    expect(refusal(text)).toContain(explanation);
  });

  test("when its type is not the declared one", () => {
    expect(refusal("delay", ValueType.INT64)).toContain("its type is DOUBLE, and INT64 is declared");
    expect(compileExpression("count", columns, ValueType.DOUBLE).evaluate([0, 3n])).toBe(3);
  });

  test("when it is nested too deeply or is too long", () => {
    expect(refusal(`${"(-".repeat(70)}count${")".repeat(70)}`)).toContain("levels deep");
    expect(refusal(`${"count + ".repeat(2_000)}1`)).toContain("longer than");
  });
});

describe("a row without a result", () => {
  test.each([
    ["count + 9223372036854775807", "INT64 is out of range"],
    ["1 / count", ""],
    ["delay / 0.0", "Division by zero"],
    ["note::bigint", "is no INT64"],
    ["sqrt(-delay)", "sqrt has no result"],
  ])("of %s fails by itself", (text, message) => {
    const expression = compileExpression(text, columns);
    if (message === "") return expect(expression.evaluate([1, 5n, "x", 0n, 0n])).toBe(0n);
    expect(() => expression.evaluate([1, 5n, "x", 0n, 0n])).toThrow(ExpressionEvaluationError);
    expect(() => expression.evaluate([1, 5n, "x", 0n, 0n])).toThrow(message);
    return undefined;
  });
});

describe("SQL made from an expression", () => {
  test("quotes every name and every text", () => {
    expect(compileExpression(`"odd "" name" + 1`, columns).toSql("e")).toContain('"e"."odd "" name"');
    expect(compileExpression("note = 'it''s; DROP TABLE x; --'", columns).toSql()).toBe(
      `("note" = 'it''s; DROP TABLE x; --')`,
    );
  });

  test("says which columns it reads, each once", () => {
    expect(compileExpression("CASE WHEN delay > 1 THEN count ELSE count + 1 END", columns).columns).toEqual([
      "delay",
      "count",
    ]);
  });
});
