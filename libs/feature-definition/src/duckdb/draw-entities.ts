import { ValueType } from "@millrace/contracts/millrace/feature/v1/column";
import { makeData, Table, TimestampMicrosecond, tableToIPC, Vector, vectorFromArray } from "apache-arrow";
import type { CompiledFeatureService, CompiledRepository } from "../compiled.ts";
import { quoteIdentifier, quoteText } from "../expression/duckdb-literal.ts";
import { arrowType, plainValue } from "./arrow-columns.ts";
import type { DataLocation, DataRelation } from "./data-relation.ts";
import { derivedColumnsSql } from "./derived-columns-sql.ts";
import { type DuckDbOptions, DuckDbSession } from "./duckdb-session.ts";
import { newestEventUs } from "./newest-event.ts";
import { SourceDataInvalidError } from "./source-data-invalid-error.ts";
import { engineError, openSources } from "./training-set.ts";

export interface DrawOptions extends DataLocation {
  readonly repository: CompiledRepository;
  /** Whose entities: one of the repository's services, or what `compileReferences` makes. */
  readonly service: CompiledFeatureService;
  /** How many rows at most. */
  readonly count: number;
  /** The same seed draws the same entities from the same files. */
  readonly seed: bigint;
  readonly engine?: DuckDbOptions;
}

/**
 * Entity rows for a training set, as an Arrow IPC stream: entities that the sources' files have, at the first time by
 * which all facts of those files have happened, in the column `event_time`.
 * @throws SourceDataInvalidError where the files have no entity, EngineFailedError
 */
export const drawEntities = async (options: DrawOptions): Promise<Uint8Array> => {
  const { repository, service } = options;
  const session = await DuckDbSession.open(options.engine);
  try {
    const relations = await openSources(repository, service, options, session);
    const columns = await drawColumns(options, relations, session);
    const rows = Math.max(0, ...[...columns.values()].map(({ values }) => values.length));
    const newestUs = await newestEventUs(repository, relations, session);
    if (rows === 0 || newestUs === undefined) {
      const names = [...relations.keys()].join(", ");
      throw new SourceDataInvalidError(`the sources ${names}`, [
        { field: "files", expected: "facts of at least one entity", got: "none" },
      ]);
    }
    const table: Record<string, Vector> = {
      event_time: instants(new Array<bigint>(rows).fill(newestUs + 1n)),
    };
    for (const [name, { type, values }] of columns) {
      const column = Array.from({ length: rows }, (_, row) => values[row % values.length]);
      table[name] =
        type === ValueType.TIMESTAMP ? instants(column as bigint[]) : vectorFromArray(column, arrowType(type));
    }
    return tableToIPC(new Table(table), "stream");
  } catch (error) {
    throw engineError(error);
  } finally {
    session.close();
  }
};

interface DrawnColumn {
  readonly type: ValueType;
  readonly values: readonly unknown[];
}

/** Entities with more keys go first: those with fewer then have the same ones. */
const drawColumns = async (
  { repository, service, count, seed }: DrawOptions,
  relations: ReadonlyMap<string, DataRelation>,
  session: DuckDbSession,
): Promise<Map<string, DrawnColumn>> => {
  const columns = new Map<string, DrawnColumn>();
  const names = new Set(service.features.map(({ view }) => view));
  const views = [...names].flatMap((name) => repository.views.get(name) ?? []);
  for (const { entity, source, keyColumns } of views.sort((a, b) => b.entity.keys.length - a.entity.keys.length)) {
    if (entity.keys.every(({ name }) => columns.has(name))) continue;
    const keys = keyColumns.map(quoteIdentifier);
    const texts = keys.map((key) => `CAST(${key} AS VARCHAR)`).join(", ");
    const drawn = await session.rows(
      `SELECT DISTINCT ${keys.map((key, index) => `${key} AS k${index}`).join(", ")}, md5(concat_ws('|', ${texts}, ${quoteText(String(seed))})) AS place
        FROM (${derivedColumnsSql(source, relations.get(source.name)?.select(source.fields) ?? "")})
        WHERE ${keys.map((key) => `${key} IS NOT NULL`).join(" AND ")} ORDER BY place LIMIT ${count}`,
    );
    entity.keys.forEach(({ name, type }, index) => {
      columns.set(name, { type, values: drawn.map((row) => plainValue(row[index])) });
    });
  }
  return columns;
};

const instants = (valuesUs: readonly bigint[]): Vector => {
  const data = BigInt64Array.from(valuesUs);
  return new Vector([makeData({ type: new TimestampMicrosecond("UTC"), data, length: data.length })]);
};
