import type { CompiledExpression, CompiledSource, CompiledView, Row, Scalar } from "../compiled.ts";

/** An expression's value; null where it cannot be evaluated, as the SQL path does: one bad row is one null. */
export function valueOrNull(expression: CompiledExpression, row: Row): Scalar {
  try {
    return expression.evaluate(row);
  } catch {
    return null;
  }
}

/** Whether a row says that its entity is gone. */
export function isDeletion(source: CompiledSource, row: Row): boolean {
  return source.deleted !== undefined && row[source.deleted.index] === true;
}

/**
 * Whether a row of the source counts in a view: its `where` is true, neither false nor null. A deletion counts whatever it
 * says: often it has the key alone.
 */
export function countsIn(view: CompiledView, row: Row): boolean {
  return view.where === undefined || isDeletion(view.source, row) || valueOrNull(view.where, row) === true;
}
