import type { Scalar } from "../compiled.ts";
import type { ExpressionType } from "./expression-type.ts";
import type { Operation } from "./operation.ts";

/** An expression after type checking: what the closures, the SQL and the version hash are made from. */
export type TypedExpression = Literal | ColumnReference | Call | Conjunction | Case | Coalesce;

export interface Literal {
  readonly kind: "literal";
  readonly type: ExpressionType;
  readonly value: Scalar;
}

export interface ColumnReference {
  readonly kind: "column";
  readonly type: ExpressionType;
  readonly name: string;
  /** Place in the row. */
  readonly index: number;
}

export interface Call {
  readonly kind: "call";
  readonly type: ExpressionType;
  readonly operation: Operation;
  readonly arguments: readonly TypedExpression[];
}

/** AND or OR: evaluated from left to right, and no further than needed. */
export interface Conjunction {
  readonly kind: "and" | "or";
  readonly type: "BOOL";
  readonly arguments: readonly TypedExpression[];
}

export interface Case {
  readonly kind: "case";
  readonly type: ExpressionType;
  readonly branches: readonly { readonly when: TypedExpression; readonly result: TypedExpression }[];
  readonly otherwise: TypedExpression;
}

export interface Coalesce {
  readonly kind: "coalesce";
  readonly type: ExpressionType;
  readonly arguments: readonly TypedExpression[];
}

/** The parts of an expression, in the order of evaluation. */
export const partsOf = (expression: TypedExpression): readonly TypedExpression[] => {
  switch (expression.kind) {
    case "literal":
    case "column":
      return [];
    case "case":
      return [...expression.branches.flatMap(({ when, result }) => [when, result]), expression.otherwise];
    default:
      return expression.arguments;
  }
};

/** Whether there may be rows for which the expression has no result. */
export const canFail = (expression: TypedExpression): boolean =>
  (expression.kind === "call" && expression.operation.fails) || partsOf(expression).some(canFail);

/** The columns read, each once, in the order of their first use. */
export const columnsOf = (expression: TypedExpression): string[] => {
  const names = new Set<string>();
  const visit = (part: TypedExpression): void => {
    if (part.kind === "column") names.add(part.name);
    partsOf(part).forEach(visit);
  };
  visit(expression);
  return [...names];
};

/** One text for one meaning: spelling, spaces and parentheses of the source text leave no trace. */
export const canonicalText = (expression: TypedExpression): string => {
  switch (expression.kind) {
    case "literal":
      return `${expression.type}:${literalText(expression.value)}`;
    case "column":
      return `column ${JSON.stringify(expression.name)}:${expression.type}`;
    case "call": {
      const { name, takes } = expression.operation;
      return `${name}(${takes.join()})(${expression.arguments.map(canonicalText).join(", ")})`;
    }
    default:
      return `${expression.kind}:${expression.type}(${partsOf(expression).map(canonicalText).join(", ")})`;
  }
};

const literalText = (value: Scalar): string =>
  typeof value === "string"
    ? JSON.stringify(value)
    : typeof value === "number" && Object.is(value, -0)
      ? "-0"
      : String(value);
