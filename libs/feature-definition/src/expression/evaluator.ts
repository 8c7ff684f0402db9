import type { Row, Scalar } from "../compiled.ts";
import type { Call, Conjunction, TypedExpression } from "./typed-expression.ts";

export type Evaluator = (row: Row) => Scalar;

/** A closure for an expression. It runs once a row: what can be decided before is decided here. */
export const evaluator = (expression: TypedExpression): Evaluator => {
  switch (expression.kind) {
    case "literal": {
      const { value } = expression;
      return () => value;
    }
    case "column": {
      const { index } = expression;
      return (row) => row[index] ?? null;
    }
    case "call":
      return expression.operation.strict ? strictCall(expression) : nullAwareCall(expression);
    case "and":
    case "or":
      return conjunction(expression);
    case "case": {
      const branches = expression.branches.map(({ when, result }) => [evaluator(when), evaluator(result)] as const);
      const otherwise = evaluator(expression.otherwise);
      return (row) => {
        for (const [when, result] of branches) if (when(row) === true) return result(row);
        return otherwise(row);
      };
    }
    case "coalesce": {
      const parts = expression.arguments.map(evaluator);
      return (row) => {
        for (const part of parts) {
          const value = part(row);
          if (value !== null) return value;
        }
        return null;
      };
    }
  }
};

const strictCall = ({ operation, arguments: parts }: Call): Evaluator => {
  const evaluate = operation.evaluate;
  const [first, second, third, ...more] = parts.map(evaluator);
  if (first === undefined) return () => evaluate();
  if (second === undefined) {
    return (row) => {
      const a = first(row);
      return a === null ? null : evaluate(a);
    };
  }
  if (third === undefined) {
    return (row) => {
      const a = first(row);
      const b = second(row);
      return a === null || b === null ? null : evaluate(a, b);
    };
  }
  const all = [first, second, third, ...more];
  return (row) => {
    const values = all.map((part) => part(row));
    return values.includes(null) ? null : evaluate(...values);
  };
};

const nullAwareCall = ({ operation, arguments: parts }: Call): Evaluator => {
  const evaluate = operation.evaluate;
  const all = parts.map(evaluator);
  return (row) => evaluate(...all.map((part) => part(row)));
};

/** SQL's three-valued logic: FALSE decides an AND, TRUE an OR; without it, null if any part is null. */
const conjunction = ({ kind, arguments: parts }: Conjunction): Evaluator => {
  const deciding = kind === "or";
  const all = parts.map(evaluator);
  return (row) => {
    let result: Scalar = !deciding;
    for (const part of all) {
      const value = part(row);
      if (value === deciding) return deciding;
      if (value === null) result = null;
    }
    return result;
  };
};
