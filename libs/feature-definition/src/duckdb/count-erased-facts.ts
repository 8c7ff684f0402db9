import type { CompiledView } from "../compiled.ts";
import { quoteIdentifier } from "../expression/duckdb-literal.ts";
import { type DataLocation, openDataRelation } from "./data-relation.ts";
import { derivedColumnsSql } from "./derived-columns-sql.ts";
import { DuckDbSession } from "./duckdb-session.ts";
import { type ErasedEntities, loadErasedKeys } from "./erased-keys.ts";
import { engineError } from "./training-set.ts";
import { erasedTable } from "./view-sql.ts";

/**
 * Counts the facts in the batch data of a view that became known of erased entities before they were erased. 0 for a
 * source without batch data.
 * @throws SourceDataInvalidError, EngineFailedError
 */
export const countErasedFacts = async (
  view: CompiledView,
  location: DataLocation,
  erased: ErasedEntities,
): Promise<number> => {
  const { source } = view;
  if (source.batch === undefined) return 0;
  const session = await DuckDbSession.open();
  try {
    const relation = await openDataRelation(source.batch.data, location, `the source ${source.name}`, session);
    const facts = derivedColumnsSql(source, relation.select(source.fields));
    if (!(await loadErasedKeys(view, facts, erased, session))) return 0;
    const keys = view.keyColumns.map((column, index) => `e.${quoteIdentifier(column)} = x.k${index}`);
    const created = `epoch_us(e.${quoteIdentifier(source.createdAt ?? source.eventTime)})`;
    const [[count = 0n] = []] = await session.rows(
      `SELECT count(*) FROM (${facts}) e JOIN ${erasedTable(view)} x ON ${[...keys, `${created} <= x.at_us`].join(" AND ")}`,
    );
    return Number(count);
  } catch (error) {
    throw engineError(error);
  } finally {
    session.close();
  }
};
