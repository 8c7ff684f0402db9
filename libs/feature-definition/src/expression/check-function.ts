import type { Node } from "libpg-query";
import type { Scalar } from "../compiled.ts";
import { call, coerce, coercible } from "./coercion.ts";
import { ExpressionInvalidError } from "./expression-error.ts";
import type { ScalarType } from "./expression-type.ts";
import { tabledCall } from "./function-table.ts";
import { concat, side, splitPart, substring } from "./operations/text.ts";
import { dateTrunc, extract, extractFields, truncationUnits } from "./operations/time.ts";
import { atTimeZone, isTimeZone } from "./operations/time-zone.ts";
import { positionInText } from "./parse-expression.ts";
import type { TypedExpression } from "./typed-expression.ts";

type FunctionNode = Extract<Node, { FuncCall: unknown }>["FuncCall"];

/** Functions whose form depends on the value of an argument, which therefore has to be a literal. */
export const literalNames: readonly string[] = [
  "extract",
  "date_part",
  "date_trunc",
  "timezone",
  "substring",
  "substr",
  "left",
  "right",
  "split_part",
  "concat",
  "position",
];

/** A function call: by the table, or by one of the few rules below. */
export const checkFunction = (
  node: FunctionNode,
  check: (part: Node | undefined) => TypedExpression,
  text: string,
): TypedExpression => {
  const names = (node.funcname ?? []).flatMap((part) => ("String" in part ? [part.String.sval ?? ""] : []));
  const name = names.at(-1) ?? "";
  const at = positionInText(node.location);
  if (names.length > 1 && names[0] !== "pg_catalog") {
    throw new ExpressionInvalidError(text, `the function ${names.join(".")} is not in the subset`, at);
  }
  if (isMoreThanCall(node)) {
    throw new ExpressionInvalidError(text, `${name} is called as an aggregate or a window, which are not scalar`, at);
  }
  const parts = (node.args ?? []).map(check);
  const refuse = (explanation: string): never => {
    throw new ExpressionInvalidError(text, `${name}: ${explanation}`, at);
  };
  const textPart = (index: number): TypedExpression => {
    const part = parts[index];
    if (part === undefined || !coercible(part.type, "STRING")) return refuse(`argument ${index + 1} must be STRING`);
    return coerce(part, "STRING", text);
  };
  const wholeNumber = (index: number): number => {
    const value = literalValue(parts[index]);
    if (typeof value !== "bigint" || value > 1_000_000n || value < -1_000_000n) {
      return refuse(`argument ${index + 1} must be a whole number written out, within a million`);
    }
    return Number(value);
  };
  const arity = (...counts: number[]): void => {
    if (!counts.includes(parts.length))
      refuse(`it takes ${counts.join(" or ")} arguments, and ${parts.length} were given`);
  };
  switch (name) {
    case "extract":
    case "date_part": {
      arity(2);
      const field = String(literalValue(parts[0])).toLowerCase();
      const value = parts[1];
      const operation = value === undefined ? undefined : extract(singular(field), value.type as ScalarType);
      if (operation === undefined || value === undefined) {
        return refuse(`${field} of ${value?.type} is not in the subset; fields are ${extractFields.join(", ")}`);
      }
      return call(operation, [value]);
    }
    case "date_trunc": {
      arity(2);
      const unit = String(literalValue(parts[0])).toLowerCase();
      const value = parts[1];
      const type = value?.type;
      const operation =
        type === "TIMESTAMP" || type === "LOCAL_TIMESTAMP" ? dateTrunc(singular(unit), type) : undefined;
      if (operation === undefined || value === undefined) {
        return refuse(`${unit} of ${type} is not in the subset; units are ${truncationUnits.join(", ")}`);
      }
      return call(operation, [value]);
    }
    case "timezone": {
      arity(2);
      const zone = literalValue(parts[0]);
      const value = parts[1];
      if (typeof zone !== "string" || !isTimeZone(zone))
        return refuse("AT TIME ZONE takes the quoted name of a zone, such as 'Europe/Berlin'");
      if (value?.type !== "TIMESTAMP" && value?.type !== "LOCAL_TIMESTAMP")
        return refuse("AT TIME ZONE takes a TIMESTAMP");
      return call(atTimeZone(zone, value.type), [value]);
    }
    case "substring":
    case "substr": {
      arity(2, 3);
      const count = parts.length === 3 ? wholeNumber(2) : undefined;
      if (count !== undefined && count < 0) return refuse("the length must not be negative");
      return call(substring(wholeNumber(1), count), [textPart(0)]);
    }
    case "left":
    case "right":
      arity(2);
      return call(side(name, wholeNumber(1)), [textPart(0)]);
    case "split_part": {
      arity(3);
      const delimiter = literalValue(parts[1]);
      if (typeof delimiter !== "string" || delimiter === "")
        return refuse("the delimiter must be a quoted text, not empty");
      if (wholeNumber(2) < 1) return refuse("the place must be 1 or more");
      return call(splitPart(delimiter, wholeNumber(2)), [textPart(0)]);
    }
    case "concat":
      if (parts.length === 0) return refuse("it takes at least one argument");
      return call(
        concat(parts.length),
        parts.map((_, index) => textPart(index)),
      );
    case "position":
      return tabledCall("strpos", parts, text);
    default:
      return tabledCall(name, parts, text);
  }
};

const isMoreThanCall = (node: FunctionNode): boolean =>
  node.agg_order !== undefined ||
  node.agg_filter !== undefined ||
  node.over !== undefined ||
  node.agg_within_group === true ||
  node.agg_star === true ||
  node.agg_distinct === true ||
  node.func_variadic === true;

const literalValue = (part: TypedExpression | undefined): Scalar | undefined =>
  part?.kind === "literal" ? part.value : undefined;

/** PostgreSQL takes `hours` for `hour`; `milliseconds` and `microseconds` are names of their own. */
const singular = (word: string): string =>
  word.endsWith("s") && !["milliseconds", "microseconds"].includes(word) ? word.slice(0, -1) : word;
