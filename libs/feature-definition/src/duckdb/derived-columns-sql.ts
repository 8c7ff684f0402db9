import type { CompiledSource } from "../compiled.ts";
import { quoteIdentifier } from "../expression/duckdb-literal.ts";

/**
 * Adds a source's derived columns to a SELECT of its fields. Each stands in a SELECT of its own, since it may read those
 * before it.
 */
export const derivedColumnsSql = ({ derived }: Pick<CompiledSource, "derived">, rowsSql: string): string =>
  derived.reduce(
    (inner, { name, expression }) => `SELECT *, ${expression.toSql()} AS ${quoteIdentifier(name)} FROM (${inner})`,
    rowsSql,
  );
