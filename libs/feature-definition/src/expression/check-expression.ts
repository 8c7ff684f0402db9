import type { Node } from "libpg-query";
import type { CompiledField, Scalar } from "../compiled.ts";
import { checkFunction } from "./check-function.ts";
import { call, coerce, coercible, commonType, literal } from "./coercion.ts";
import { ExpressionInvalidError } from "./expression-error.ts";
import { type ExpressionType, expressionType } from "./expression-type.ts";
import { tabledCall } from "./function-table.ts";
import { castOperation } from "./operations/cast.ts";
import { booleanTests, distinctFrom, extreme, isNotNull, isNull, not } from "./operations/comparison.ts";
import { like } from "./operations/text.ts";
import { positionInText } from "./parse-expression.ts";
import type { TypedExpression } from "./typed-expression.ts";

const deepest = 64;

/** What checking needs besides the tree: the source text for messages, and the columns that there are. */
export interface CheckContext {
  readonly text: string;
  readonly columns: readonly CompiledField[];
}

/**
 * Gives every part of a syntax tree its type, and refuses what is not in the subset. Only nodes named here get through:
 * nothing of the source text reaches an engine but names of known columns and values of literals, both quoted.
 * @throws ExpressionInvalidError
 */
export const checkExpression = (node: Node, context: CheckContext, depth = 0): TypedExpression => {
  const { text } = context;
  if (depth > deepest) throw new ExpressionInvalidError(text, `it is nested more than ${deepest} levels deep`);
  const check = (part: Node | undefined): TypedExpression => {
    if (part === undefined) throw new ExpressionInvalidError(text, "a part of it is missing");
    return checkExpression(part, context, depth + 1);
  };
  if ("A_Const" in node) return constant(node.A_Const, text);
  if ("ColumnRef" in node) return column(node.ColumnRef, context);
  if ("TypeCast" in node) return typeCast(node.TypeCast, check, text);
  if ("FuncCall" in node) return checkFunction(node.FuncCall, check, text);
  if ("A_Expr" in node) return operatorExpression(node.A_Expr, check, text);
  if ("BoolExpr" in node) {
    const parts = (node.BoolExpr.args ?? []).map((part) => asBoolean(check(part), text));
    if (node.BoolExpr.boolop === "NOT_EXPR") return call(not, parts);
    return conjunction(node.BoolExpr.boolop === "AND_EXPR" ? "and" : "or", parts);
  }
  if ("NullTest" in node) {
    const part = check(node.NullTest.arg);
    return call(node.NullTest.nulltesttype === "IS_NULL" ? isNull(part.type) : isNotNull(part.type), [part]);
  }
  if ("BooleanTest" in node) {
    const operation = booleanTests[node.BooleanTest.booltesttype ?? ""];
    if (operation !== undefined) return call(operation, [asBoolean(check(node.BooleanTest.arg), text)]);
  }
  if ("CaseExpr" in node) return caseExpression(node.CaseExpr, check, text);
  if ("CoalesceExpr" in node) {
    const parts = sameType((node.CoalesceExpr.args ?? []).map(check), "COALESCE", text);
    const [only] = parts;
    return parts.length === 1 && only !== undefined
      ? only
      : { kind: "coalesce", type: only?.type ?? "STRING", arguments: parts };
  }
  if ("MinMaxExpr" in node) {
    const greatest = node.MinMaxExpr.op === "IS_GREATEST";
    const parts = sameType((node.MinMaxExpr.args ?? []).map(check), greatest ? "GREATEST" : "LEAST", text);
    const type = parts[0]?.type ?? "STRING";
    if (type.endsWith("_LIST")) throw new ExpressionInvalidError(text, "lists have no order");
    return call(extreme(greatest, type, parts.length), parts);
  }
  const [kind = "nothing"] = Object.keys(node);
  throw new ExpressionInvalidError(text, `${kindName(kind)} is not in the subset`);
};

type Check = (part: Node | undefined) => TypedExpression;
type Inner<K extends string> = Extract<Node, Record<K, unknown>> extends Record<K, infer N> ? N : never;

const constant = (node: Inner<"A_Const">, text: string): TypedExpression => {
  if (node.isnull === true) return literal("UNKNOWN", null);
  if (node.ival !== undefined) return literal("INT64", BigInt(node.ival.ival ?? 0));
  if (node.boolval !== undefined) return literal("BOOL", node.boolval.boolval ?? false);
  if (node.sval !== undefined) return literal("UNKNOWN", node.sval.sval ?? "");
  if (node.fval !== undefined) return numeral(node.fval.fval ?? "", text);
  throw new ExpressionInvalidError(text, "bit strings are not in the subset", positionInText(node.location));
};

/** Whole numbers beyond 32 bits, and numbers with a fraction or an exponent. */
const numeral = (digits: string, text: string): TypedExpression => {
  if (/^-?\d+$/.test(digits)) {
    const value = BigInt(digits);
    if (BigInt.asIntN(64, value) === value) return literal("INT64", value);
  }
  const value = Number(digits.replaceAll("_", ""));
  if (!Number.isFinite(value)) throw new ExpressionInvalidError(text, `${digits} is beyond DOUBLE`);
  return literal("DOUBLE", value);
};

const column = (node: Inner<"ColumnRef">, { text, columns }: CheckContext): TypedExpression => {
  const [field, ...more] = node.fields ?? [];
  const at = positionInText(node.location);
  if (field === undefined || more.length > 0 || !("String" in field)) {
    throw new ExpressionInvalidError(text, "a column is named by one name alone", at);
  }
  const name = field.String.sval ?? "";
  const index = columns.findIndex((candidate) => candidate.name === name);
  const found = columns[index];
  if (found === undefined) {
    const known = columns.map((candidate) => candidate.name).join(", ") || "none";
    throw new ExpressionInvalidError(text, `there is no column ${JSON.stringify(name)}; there are ${known}`, at);
  }
  return { kind: "column", type: expressionType(found.type), name, index };
};

const typeNames: Readonly<Record<string, ExpressionType>> = {
  bool: "BOOL",
  int2: "INT64",
  int4: "INT64",
  int8: "INT64",
  float4: "FLOAT",
  float8: "DOUBLE",
  text: "STRING",
  varchar: "STRING",
  timestamptz: "TIMESTAMP",
  timestamp: "TIMESTAMP",
  interval: "INTERVAL",
};

const typeCast = (node: Inner<"TypeCast">, check: Check, text: string): TypedExpression => {
  const names = (node.typeName?.names ?? []).flatMap((name) => ("String" in name ? [name.String.sval ?? ""] : []));
  const name = names.at(-1) ?? "";
  const type = Object.hasOwn(typeNames, name) ? typeNames[name] : undefined;
  const at = positionInText(node.typeName?.location);
  if (type === undefined || (node.typeName?.arrayBounds ?? []).length > 0) {
    throw new ExpressionInvalidError(text, `the type ${name} is not in the subset`, at);
  }
  if ((node.typeName?.typmods ?? []).length > 0) {
    throw new ExpressionInvalidError(text, `the type ${name} takes no length, precision or field here`, at);
  }
  const part = check(node.arg);
  if (part.type === type || part.type === "UNKNOWN") return coerce(part, type, text);
  const operation = castOperation(part.type, type);
  if (operation === undefined)
    throw new ExpressionInvalidError(text, `there is no cast from ${part.type} to ${type}`, at);
  return call(operation, [part]);
};

const operatorExpression = (node: Inner<"A_Expr">, check: Check, text: string): TypedExpression => {
  const name = (node.name ?? []).flatMap((part) => ("String" in part ? [part.String.sval ?? ""] : [])).join(".");
  switch (node.kind) {
    case "AEXPR_OP":
      return node.lexpr === undefined
        ? tabledCall(name, [check(node.rexpr)], text)
        : binary(name, check(node.lexpr), check(node.rexpr), text);
    case "AEXPR_DISTINCT":
    case "AEXPR_NOT_DISTINCT": {
      const parts = sameType([check(node.lexpr), check(node.rexpr)], "IS DISTINCT FROM", text);
      return call(distinctFrom(parts[0]?.type ?? "STRING", node.kind === "AEXPR_NOT_DISTINCT"), parts);
    }
    case "AEXPR_BETWEEN":
    case "AEXPR_NOT_BETWEEN": {
      const value = check(node.lexpr);
      const [low, high] = listItems(node.rexpr).map(check);
      if (low === undefined || high === undefined) throw new ExpressionInvalidError(text, "BETWEEN needs two bounds");
      const inside = conjunction("and", [binary(">=", value, low, text), binary("<=", value, high, text)]);
      return node.kind === "AEXPR_BETWEEN" ? inside : call(not, [inside]);
    }
    case "AEXPR_IN": {
      const value = check(node.lexpr);
      const equal = conjunction(
        "or",
        listItems(node.rexpr).map((item) => binary("=", value, check(item), text)),
      );
      return name === "<>" ? call(not, [equal]) : equal;
    }
    case "AEXPR_LIKE":
      return likeExpression(node, name === "!~~", check, text);
    case "AEXPR_NULLIF": {
      const value = check(node.lexpr);
      const when = binary("=", value, check(node.rexpr), text);
      const type = value.type === "UNKNOWN" ? "STRING" : value.type;
      const otherwise = coerce(value, type, text);
      return { kind: "case", type, branches: [{ when, result: literal(type, null) }], otherwise };
    }
    default:
      throw new ExpressionInvalidError(
        text,
        `the operator ${name} is not in the subset in this form`,
        positionInText(node.location),
      );
  }
};

/** A binary operator. Comparisons of two types first find the one that both share. */
const binary = (name: string, left: TypedExpression, right: TypedExpression, text: string): TypedExpression =>
  ["=", "<>", "<", "<=", ">", ">="].includes(name)
    ? tabledCall(name, sameType([left, right], name, text), text)
    : tabledCall(name, [left, right], text);

const likeExpression = (node: Inner<"A_Expr">, negated: boolean, check: Check, text: string): TypedExpression => {
  const value = coerceTo(check(node.lexpr), "STRING", "LIKE", text);
  let pattern: Node | undefined = node.rexpr;
  let escapeCharacter: Scalar = "\\";
  if (pattern !== undefined && "FuncCall" in pattern) {
    const [first, second] = pattern.FuncCall.args ?? [];
    const given = check(second);
    escapeCharacter = given.kind === "literal" ? given.value : null;
    pattern = first;
  }
  const right = check(pattern);
  if (
    right.kind !== "literal" ||
    typeof right.value !== "string" ||
    typeof escapeCharacter !== "string" ||
    [...escapeCharacter].length > 1
  ) {
    throw new ExpressionInvalidError(text, "LIKE takes a quoted pattern, and at most one escape character");
  }
  const operation = like(right.value, escapeCharacter, negated);
  if (operation === undefined)
    throw new ExpressionInvalidError(text, "the pattern of LIKE ends in its escape character");
  return call(operation, [value]);
};

const caseExpression = (node: Inner<"CaseExpr">, check: Check, text: string): TypedExpression => {
  const subject = node.arg === undefined ? undefined : check(node.arg);
  const whens: TypedExpression[] = [];
  const thens: TypedExpression[] = [];
  for (const branch of node.args ?? []) {
    if (!("CaseWhen" in branch)) throw new ExpressionInvalidError(text, "CASE is malformed");
    const condition = check(branch.CaseWhen.expr);
    whens.push(subject === undefined ? asBoolean(condition, text) : binary("=", subject, condition, text));
    thens.push(check(branch.CaseWhen.result));
  }
  thens.push(node.defresult === undefined ? literal("UNKNOWN", null) : check(node.defresult));
  const results = sameType(thens, "CASE", text);
  const otherwise = results.pop();
  if (otherwise === undefined) throw new ExpressionInvalidError(text, "CASE is malformed");
  const branches = whens.flatMap((when, index) => {
    const result = results[index];
    return result === undefined || (when.kind === "literal" && when.value !== true) ? [] : [{ when, result }];
  });
  const certain = branches.findIndex(({ when }) => when.kind === "literal");
  const reachable = certain < 0 ? branches : branches.slice(0, certain);
  const last = certain < 0 ? otherwise : (branches[certain]?.result ?? otherwise);
  return reachable.length === 0 ? last : { kind: "case", type: last.type, branches: reachable, otherwise: last };
};

/** AND or OR; a literal that decides it decides it at once, as in PostgreSQL. */
const conjunction = (kind: "and" | "or", parts: readonly TypedExpression[]): TypedExpression => {
  const deciding = kind === "or";
  if (parts.some((part) => part.kind === "literal" && part.value === deciding)) return literal("BOOL", deciding);
  const open = parts.filter((part) => part.kind !== "literal" || part.value === null);
  const [only] = open;
  if (only === undefined) return literal("BOOL", !deciding);
  return open.length === 1 ? only : { kind, type: "BOOL", arguments: open };
};

const sameType = (parts: readonly TypedExpression[], what: string, text: string): TypedExpression[] => {
  const type = commonType(parts.map((part) => part.type));
  if (type === undefined) {
    const types = [...new Set(parts.map((part) => part.type))].join(" and ");
    throw new ExpressionInvalidError(text, `${what} mixes ${types}, which have no type in common`);
  }
  return parts.map((part) => coerce(part, type, text));
};

const asBoolean = (part: TypedExpression, text: string): TypedExpression => coerceTo(part, "BOOL", "a condition", text);

const coerceTo = (part: TypedExpression, type: ExpressionType, what: string, text: string): TypedExpression => {
  if (!coercible(part.type, type))
    throw new ExpressionInvalidError(text, `${what} needs ${type}, and ${part.type} was given`);
  return coerce(part, type, text);
};

const listItems = (node: Node | undefined): Node[] =>
  node !== undefined && "List" in node ? (node.List.items ?? []) : [];

const kindNames: Readonly<Record<string, string>> = {
  SubLink: "a query within an expression",
  ParamRef: "a parameter ($1)",
  A_ArrayExpr: "an array",
  RowExpr: "a row",
  SQLValueFunction: "the current time or user",
  A_Indirection: "a subscript or a field",
};

const kindName = (kind: string): string => kindNames[kind] ?? kind;
