import type { CompiledRepository } from "../compiled.ts";
import { quoteIdentifier } from "../expression/duckdb-literal.ts";
import type { DataRelation } from "./data-relation.ts";
import type { DuckDbSession } from "./duckdb-session.ts";

/** The greatest event time of the sources in microseconds; undefined if they are empty. */
export const newestEventUs = async (
  repository: CompiledRepository,
  relations: ReadonlyMap<string, DataRelation>,
  session: DuckDbSession,
): Promise<bigint | undefined> => {
  let newest: bigint | undefined;
  for (const [name, relation] of relations) {
    const source = repository.sources.get(name);
    const time = source?.fields.filter((field) => field.name === source.eventTime) ?? [];
    const rows = await session.rows(
      `SELECT epoch_us(max(${time.map((field) => quoteIdentifier(field.name)).join()})) FROM (${relation.select(time)})`,
    );
    const found = rows[0]?.[0];
    if (typeof found === "bigint" && (newest === undefined || found > newest)) newest = found;
  }
  return newest;
};
