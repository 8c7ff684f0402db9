import { hasSqlDetails, loadModule, type Node, parseSync } from "libpg-query";
import { ExpressionInvalidError } from "./expression-error.ts";

await loadModule();

const prefix = "SELECT ";
const longestExpression = 8_192;

/**
 * The syntax tree of one scalar expression, by PostgreSQL's own parser.
 * @throws ExpressionInvalidError if it does not parse, or is more than one expression.
 */
export const parseExpression = (text: string): Node => {
  if (text.length > longestExpression) {
    throw new ExpressionInvalidError(`${text.slice(0, 60)}…`, `it is longer than ${longestExpression} characters`);
  }
  if (text.includes("\0")) throw new ExpressionInvalidError(text, "it contains a NUL character");
  if (text.trim() === "") throw new ExpressionInvalidError(text, "it is empty");
  const statements = parse(text).stmts ?? [];
  const statement = statements[0]?.stmt;
  const target = selectedExpression(statement);
  if (statements.length !== 1 || target === undefined) {
    throw new ExpressionInvalidError(text, "it is more than one scalar expression");
  }
  return target;
};

/** The place in the text, from 1, of a location that the parser reports. */
export const positionInText = (location: number | undefined): number | undefined =>
  location === undefined ? undefined : location - prefix.length + 1;

const parse = (text: string): ReturnType<typeof parseSync> => {
  try {
    return parseSync(prefix + text);
  } catch (error) {
    const position = hasSqlDetails(error) ? error.sqlDetails?.cursorPosition : undefined;
    throw new ExpressionInvalidError(
      text,
      error instanceof Error ? error.message : String(error),
      positionInText(position),
    );
  }
};

/** What stands in `SELECT <one expression>`, provided that nothing else stands there. */
const selectedExpression = (statement: Node | undefined): Node | undefined => {
  if (statement === undefined || !("SelectStmt" in statement)) return undefined;
  const { targetList = [], limitOption, op, ...others } = statement.SelectStmt;
  if (limitOption !== "LIMIT_OPTION_DEFAULT" || op !== "SETOP_NONE") return undefined;
  if (Object.keys(others).length > 0 || targetList.length !== 1) return undefined;
  const [target] = targetList;
  if (target === undefined || !("ResTarget" in target)) return undefined;
  const { name, indirection, val } = target.ResTarget;
  return name === undefined && indirection === undefined ? val : undefined;
};
