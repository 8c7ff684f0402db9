import type { CompiledExpression, CompiledView, Row, Scalar } from "../compiled.ts";

/** An expression's value; null where it cannot be evaluated, as the SQL path does: one bad row is one null. */
export function valueOrNull(expression: CompiledExpression, row: Row): Scalar {
  try {
    return expression.evaluate(row);
  } catch {
    return null;
  }
}

/** Whether a row of the source counts in a view: its `where` is true, neither false nor null. */
export function countsIn(view: CompiledView, row: Row): boolean {
  return view.where === undefined || valueOrNull(view.where, row) === true;
}
