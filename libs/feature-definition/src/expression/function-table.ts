import { call, coerce, coercible } from "./coercion.ts";
import { ExpressionInvalidError } from "./expression-error.ts";
import type { ExpressionType } from "./expression-type.ts";
import type { Operation } from "./operation.ts";
import { arithmetic, divisionByLiteral } from "./operations/arithmetic.ts";
import { comparisons } from "./operations/comparison.ts";
import { cardinality } from "./operations/list.ts";
import { mathematics } from "./operations/mathematics.ts";
import { text } from "./operations/text.ts";
import { intervalArithmetic, timeArithmetic, toTimestamp } from "./operations/time.ts";
import type { TypedExpression } from "./typed-expression.ts";

const table = new Map<string, Operation[]>();
for (const operation of [
  ...arithmetic,
  ...timeArithmetic,
  ...intervalArithmetic,
  ...comparisons,
  ...mathematics,
  ...text,
  toTimestamp,
  ...cardinality,
]) {
  const overloads = table.get(operation.name) ?? [];
  overloads.push(operation);
  table.set(operation.name, overloads);
}

/** Names of the functions that are found by their argument types alone. */
export const tabledNames: readonly string[] = [...table.keys()];

/**
 * The call of a function or operator, with the arguments coerced to what the best fitting overload takes.
 * @throws ExpressionInvalidError if no overload fits.
 */
export const tabledCall = (name: string, parts: readonly TypedExpression[], source: string): TypedExpression => {
  const overloads = table.get(name);
  if (overloads === undefined)
    throw new ExpressionInvalidError(source, `the function or operator ${name} is not in the subset`);
  const types = parts.map(({ type }) => type);
  const found = bestOverload(overloads, types);
  if (found === undefined) {
    const offered = [...new Set(overloads.map(({ takes }) => `(${takes.join(", ")})`))].join(", ");
    throw new ExpressionInvalidError(source, `${name} does not take (${types.join(", ")}); it takes ${offered}`);
  }
  const coerced = found.takes.map((type, index) => {
    const part = parts[index];
    if (part === undefined) throw new ExpressionInvalidError(source, `${name} lacks an argument`);
    return coerce(part, type, source);
  });
  return call(withoutGuard(found, coerced), coerced);
};

/**
 * The overload that needs the fewest coercions; the earlier one where two need as many, as the table puts what
 * PostgreSQL prefers first. An untyped literal takes the type of the argument beside it.
 */
const bestOverload = (overloads: readonly Operation[], types: readonly ExpressionType[]): Operation | undefined => {
  let best: Operation | undefined;
  let fewest = Number.POSITIVE_INFINITY;
  const known = types.find((type) => type !== "UNKNOWN");
  for (const overload of overloads) {
    if (overload.takes.length !== types.length) continue;
    if (!overload.takes.every((take, index) => coercible(types[index] ?? "UNKNOWN", take))) continue;
    const cost = overload.takes.reduce((sum, take, index) => {
      const type = types[index];
      if (type === take) return sum;
      if (type === "UNKNOWN") return sum + (take === known ? 0 : known === undefined && take === "STRING" ? 0.25 : 0.5);
      return sum + 1;
    }, 0);
    if (cost < fewest) {
      best = overload;
      fewest = cost;
    }
  }
  return best;
};

const withoutGuard = (operation: Operation, parts: readonly TypedExpression[]): Operation => {
  const divisor = parts[1];
  if (divisor?.kind !== "literal" || divisor.value === null) return operation;
  if (Number(divisor.value) === 0 || Number.isNaN(Number(divisor.value)) || divisor.value === -1n) return operation;
  const unguarded = divisionByLiteral.find(
    ({ name, takes }) => name === operation.name && takes.every((take, index) => take === operation.takes[index]),
  );
  return unguarded ?? operation;
};
