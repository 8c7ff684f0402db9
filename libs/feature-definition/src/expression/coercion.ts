import type { Scalar } from "../compiled.ts";
import { ExpressionInvalidError } from "./expression-error.ts";
import type { ExpressionType } from "./expression-type.ts";
import type { Operation } from "./operation.ts";
import { castOperation, parseDouble } from "./operations/cast.ts";
import { parseInterval, parseTimestamp } from "./operations/civil-time.ts";
import type { Literal, TypedExpression } from "./typed-expression.ts";

export const literal = (type: ExpressionType, value: Scalar): Literal => ({ kind: "literal", type, value });

/**
 * A call; where all arguments are literals its value, and null where a strict one has a literal null.
 * @throws ExpressionEvaluationError if it has no value for these literals.
 */
export const call = (operation: Operation, parts: readonly TypedExpression[]): TypedExpression => {
  if (operation.strict && parts.some((part) => part.kind === "literal" && part.value === null)) {
    return literal(operation.gives, null);
  }
  const values = parts.map((part) => (part.kind === "literal" ? part.value : undefined));
  if (values.every((value) => value !== undefined)) return literal(operation.gives, operation.evaluate(...values));
  return { kind: "call", type: operation.gives, operation, arguments: parts };
};

/** Whether a value of one type may stand where another is asked for, without a cast in the text. */
export const coercible = (from: ExpressionType, to: ExpressionType): boolean =>
  from === to || from === "UNKNOWN" || (to === "DOUBLE" && (from === "INT64" || from === "FLOAT"));

/** The expression as a value of another type. The types must be coercible. */
export const coerce = (expression: TypedExpression, to: ExpressionType, text: string): TypedExpression => {
  if (expression.type === to) return expression;
  if (expression.type === "UNKNOWN" && expression.kind === "literal") return typedLiteral(expression.value, to, text);
  const operation = castOperation(expression.type, to);
  if (operation === undefined) {
    throw new ExpressionInvalidError(text, `a value of type ${expression.type} stands where ${to} is expected`);
  }
  return call(operation, [expression]);
};

/** A bare NULL or a quoted text, read as a value of the type. */
const typedLiteral = (value: Scalar, to: ExpressionType, text: string): TypedExpression => {
  if (value === null) return literal(to, null);
  const read = readText(String(value), to);
  if (read === undefined) throw new ExpressionInvalidError(text, `'${value}' is no value of type ${to}`);
  return literal(to, read);
};

const readText = (text: string, type: ExpressionType): Scalar | undefined => {
  switch (type) {
    case "STRING":
      return text;
    case "INT64": {
      if (!/^\s*[+-]?[0-9]+\s*$/.test(text)) return undefined;
      const value = BigInt(text.trim().replace(/^\+/, ""));
      return BigInt.asIntN(64, value) === value ? value : undefined;
    }
    case "DOUBLE":
      return parseDouble(text);
    case "FLOAT": {
      const value = parseDouble(text);
      return value === undefined ? undefined : Math.fround(value);
    }
    case "BOOL":
      return /^\s*(t|true|y|yes|on|1)\s*$/i.test(text)
        ? true
        : /^\s*(f|false|n|no|off|0)\s*$/i.test(text)
          ? false
          : undefined;
    case "TIMESTAMP":
    case "LOCAL_TIMESTAMP":
      return parseTimestamp(text);
    case "INTERVAL":
      return parseInterval(text);
    default:
      return undefined;
  }
};

/**
 * The one type that several expressions share: what CASE, COALESCE, GREATEST and comparisons need.
 * @returns undefined if there is none.
 */
export const commonType = (types: readonly ExpressionType[]): ExpressionType | undefined => {
  const known = types.filter((type) => type !== "UNKNOWN");
  const [first] = known;
  if (first === undefined) return "STRING";
  if (known.every((type) => type === first)) return first;
  return known.every((type) => type === "INT64" || type === "DOUBLE" || type === "FLOAT") ? "DOUBLE" : undefined;
};
