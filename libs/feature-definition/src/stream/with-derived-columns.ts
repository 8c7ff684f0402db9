import type { CompiledSource, Row, Scalar } from "../compiled.ts";
import { valueOrNull } from "./event-filter.ts";

/** A row of a source's fields with its derived columns after them. One that cannot be computed is null. */
export function withDerivedColumns({ derived }: CompiledSource, row: Row): Row {
  if (derived.length === 0) return row;
  const values: Scalar[] = [...row];
  for (const { expression } of derived) values.push(valueOrNull(expression, values));
  return values;
}
