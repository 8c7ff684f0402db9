import { ValueType } from "@millrace/contracts/millrace/feature/v1/column";
import type { CompiledExpression, CompiledField } from "../compiled.ts";
import { checkExpression } from "./check-expression.ts";
import { call, coerce } from "./coercion.ts";
import { duckDbSql } from "./duckdb-sql.ts";
import { evaluator } from "./evaluator.ts";
import { ExpressionEvaluationError, ExpressionInvalidError } from "./expression-error.ts";
import { type ExpressionType, expressionType, valueType, valueTypeName } from "./expression-type.ts";
import { castOperation } from "./operations/cast.ts";
import { parseExpression } from "./parse-expression.ts";
import { canonicalText, columnsOf, type TypedExpression } from "./typed-expression.ts";

const longestSql = 65_536;
const meanings = new WeakMap<CompiledExpression, string>();

/**
 * Compiles a scalar expression of the PostgreSQL subset (docs/expressions.md) against the columns of a row.
 * @param expected the type that the value must have. INT64 is widened to DOUBLE and FLOAT, DOUBLE narrowed to FLOAT; all
 *   else needs a cast in the text.
 * @throws ExpressionInvalidError
 */
export const compileExpression = (
  text: string,
  columns: readonly CompiledField[],
  expected?: ValueType,
): CompiledExpression => {
  const typed = typedExpression(text, columns, expected);
  const type = valueType(typed.type);
  if (type === undefined) {
    throw new ExpressionInvalidError(
      text,
      `its type is ${typed.type}, which cannot be kept; use extract(epoch FROM …) or AT TIME ZONE`,
    );
  }
  return compiled(text, typed, type);
};

const typedExpression = (
  text: string,
  columns: readonly CompiledField[],
  expected: ValueType | undefined,
): TypedExpression => {
  try {
    const checked = checkExpression(parseExpression(text), { text, columns });
    return expected === undefined ? known(checked, text) : assigned(checked, expressionType(expected), text);
  } catch (error) {
    if (!(error instanceof ExpressionEvaluationError)) throw error;
    throw new ExpressionInvalidError(text, `a part of it fails for every row: ${error.message.replace(/\.$/, "")}`);
  }
};

/** The expression that is one column. */
export const columnExpression = (
  column: string,
  columns: readonly CompiledField[],
  expected?: ValueType,
): CompiledExpression => {
  const index = columns.findIndex(({ name }) => name === column);
  const found = columns[index];
  if (found === undefined) {
    throw new ExpressionInvalidError(
      column,
      `there is no column ${JSON.stringify(column)}; there are ${columns.map(({ name }) => name).join(", ") || "none"}`,
    );
  }
  const reference: TypedExpression = { kind: "column", type: expressionType(found.type), name: column, index };
  const typed = expected === undefined ? reference : assigned(reference, expressionType(expected), column);
  return compiled(column, typed, valueType(typed.type) ?? ValueType.VALUE_TYPE_UNSPECIFIED);
};

/** One text for one meaning, for version hashes. */
export const expressionMeaning = (expression: CompiledExpression): string =>
  meanings.get(expression) ?? expression.text;

const compiled = (text: string, typed: TypedExpression, type: ValueType): CompiledExpression => {
  if (duckDbSql(typed).length > longestSql) {
    throw new ExpressionInvalidError(
      text,
      `its SQL is longer than ${longestSql} characters; compute parts of it as columns of the source`,
    );
  }
  const result: CompiledExpression = {
    text,
    type,
    columns: columnsOf(typed),
    evaluate: evaluator(typed),
    toSql: (alias) => duckDbSql(typed, alias),
  };
  meanings.set(result, canonicalText(typed));
  return result;
};

const known = (expression: TypedExpression, text: string): TypedExpression =>
  expression.type === "UNKNOWN" ? coerce(expression, "STRING", text) : expression;

const assigned = (expression: TypedExpression, type: ExpressionType, text: string): TypedExpression => {
  const { type: from } = expression;
  if (from === type || from === "UNKNOWN") return coerce(expression, type, text);
  const widens =
    (from === "INT64" && (type === "DOUBLE" || type === "FLOAT")) || (from === "FLOAT" && type === "DOUBLE");
  const operation = widens || (from === "DOUBLE" && type === "FLOAT") ? castOperation(from, type) : undefined;
  if (operation === undefined) {
    throw new ExpressionInvalidError(
      text,
      `its type is ${from}, and ${valueTypeName(valueType(type) ?? ValueType.VALUE_TYPE_UNSPECIFIED)} is declared`,
    );
  }
  return call(operation, [expression]);
};
