import { AsOf, type EntityQuery } from "@millrace/contracts/millrace/feature/v1/feature_service";
import { MillraceError } from "@millrace/errors";
import type { CompiledFeatureService, CompiledRepository, CompiledSource } from "../compiled.ts";
import { readsOf } from "../reads-of.ts";
import { storedViewOf } from "../view-features.ts";
import { ColumnInvalidError } from "./column-invalid-error.ts";
import { type DataLocation, type DataRelation, openDataRelation } from "./data-relation.ts";
import { derivedColumnsSql } from "./derived-columns-sql.ts";
import { type DuckDbOptions, DuckDbSession } from "./duckdb-session.ts";
import { EngineFailedError } from "./engine-failed-error.ts";
import { loadQueriedEntityRows } from "./entity-query.ts";
import { type LoadedEntityRows, loadArrowEntityRows } from "./entity-rows.ts";
import { type ErasedEntities, loadErasedKeys } from "./erased-keys.ts";
import { IpcStreamWriter } from "./ipc-stream-writer.ts";
import { newestEventUs } from "./newest-event.ts";
import { recordBatches } from "./record-batches.ts";
import { snapshotId } from "./snapshot-id.ts";
import { type KeptColumn, trainingSetSql, viewsRead } from "./training-set-sql.ts";
import { writeParquet } from "./write-parquet.ts";

export interface TrainingSetOptions extends DataLocation {
  readonly repository: CompiledRepository;
  /** One of the repository's services, or what `compileReferences` makes. */
  readonly service: CompiledFeatureService;
  /** An Arrow IPC stream, or a query over files below the data root. */
  readonly entityRows: { readonly arrow: Uint8Array } | { readonly query: EntityQuery };
  /** The column that holds the time of each row. Default `event_time`. */
  readonly eventTime?: string;
  /** Default EVENT_TIME. */
  readonly asOf?: AsOf;
  /** One thread, so that the same inputs give the same bytes. */
  readonly deterministic?: boolean;
  /** What became known of these before they were erased is not seen. */
  readonly erased?: ErasedEntities;
  /** Writes a Parquet file here, in place of parts of an Arrow stream. The entity rows have to come by a query. */
  readonly outParquet?: string;
  readonly engine?: DuckDbOptions;
  readonly signal?: AbortSignal;
}

export type TrainingSetPart =
  | { readonly kind: "progress"; readonly phase: string; readonly rows: number; readonly totalRows: number }
  /** The next bytes of one Arrow IPC stream: the entity rows' columns, then one `view__feature` a feature. */
  | { readonly kind: "arrow"; readonly bytes: Uint8Array }
  /** Last. */
  | {
      readonly kind: "summary";
      readonly rows: number;
      readonly snapshotId: string;
      /** Microseconds; undefined if the sources are empty. */
      readonly newestEventUs: bigint | undefined;
    };

/**
 * Builds a point-in-time training set: for each entity row the features as they were at its time. Rows out are rows in,
 * in their order.
 * @throws ColumnInvalidError, SourceDataInvalidError, EngineFailedError
 */
export async function* trainingSet(options: TrainingSetOptions): AsyncGenerator<TrainingSetPart, void, undefined> {
  const { signal } = options;
  signal?.throwIfAborted();
  const threads = options.deterministic === true ? { threads: 1 } : {};
  const session = await DuckDbSession.open({ ...options.engine, ...threads, signal });
  const interrupt = (): void => session.connection.interrupt();
  signal?.addEventListener("abort", interrupt, { once: true });
  try {
    yield* buildTrainingSet(options, session);
  } catch (error) {
    signal?.throwIfAborted();
    throw engineError(error);
  } finally {
    signal?.removeEventListener("abort", interrupt);
    session.close();
  }
}

async function* buildTrainingSet(options: TrainingSetOptions, session: DuckDbSession): AsyncGenerator<TrainingSetPart> {
  const { repository, service, entityRows, outParquet } = options;
  if (outParquet !== undefined && "arrow" in entityRows) {
    const expected = "entity rows by a query, where a Parquet file is to be written";
    throw new ColumnInvalidError([{ field: "entity_rows", expected, got: "an Arrow stream" }]);
  }
  const eventTime = options.eventTime ?? "event_time";
  const asOf = options.asOf === AsOf.KNOWN_AT ? AsOf.KNOWN_AT : AsOf.EVENT_TIME;
  yield { kind: "progress", phase: "reading the entity rows", rows: 0, totalRows: 0 };
  const entities =
    "arrow" in entityRows
      ? await loadArrowEntityRows(entityRows.arrow, service, eventTime, session)
      : await loadQueriedEntityRows(entityRows.query, service, eventTime, options, session);
  const relations = await openSources(repository, service, options, session);
  const kept = entities.kept.kind === "columns" ? entities.kept.columns : [];
  const sourceSql = ({ name, fields }: CompiledSource): string => relations.get(name)?.select(fields) ?? "";
  const erased = new Set<string>();
  for (const view of options.erased === undefined ? [] : viewsRead(repository, service)) {
    const facts = derivedColumnsSql(view.source, sourceSql(view.source));
    if (options.erased !== undefined && (await loadErasedKeys(view, facts, options.erased, session))) {
      erased.add(view.name);
    }
  }
  const instants = outParquet === undefined ? "microseconds" : "timestamps";
  const sql = trainingSetSql(repository, service, asOf, sourceSql, kept, instants, erased);
  yield { kind: "progress", phase: "computing the features", rows: 0, totalRows: entities.rows };
  let rows = 0;
  if (outParquet === undefined) {
    for await (const part of arrowParts(options, sql, kept, entities, session)) {
      if (part.kind === "progress") rows = part.rows;
      yield part;
    }
  } else {
    rows = await writeParquet(sql, outParquet, session);
    yield { kind: "progress", phase: "wrote the file", rows, totalRows: entities.rows };
  }
  if (rows !== entities.rows) {
    throw new EngineFailedError(
      `${entities.rows} entity rows went in and ${rows} came out; this is a defect of the SQL.`,
    );
  }
  yield {
    kind: "summary",
    rows,
    snapshotId: await snapshotId(service, asOf, entities.tag, relations),
    newestEventUs: await newestEventUs(repository, relations, session),
  };
}

async function* arrowParts(
  { service, signal }: TrainingSetOptions,
  sql: string,
  kept: readonly KeptColumn[],
  entities: LoadedEntityRows,
  session: DuckDbSession,
): AsyncGenerator<TrainingSetPart> {
  const result = await session.connection.stream(sql);
  const types = [...kept, ...service.features.map(({ fullName: name, type }) => ({ name, type }))];
  const writer = new IpcStreamWriter();
  let rows = 0;
  for await (const batch of recordBatches(result, types, entities)) {
    signal?.throwIfAborted();
    writer.write(batch);
    rows += batch.numRows;
    yield* writer.takeWritten().map((bytes) => ({ kind: "arrow" as const, bytes }));
    yield { kind: "progress", phase: "sending the rows", rows, totalRows: entities.rows };
  }
  writer.finish();
  yield* writer.takeWritten().map((bytes) => ({ kind: "arrow" as const, bytes }));
}

export const openSources = async (
  repository: CompiledRepository,
  service: CompiledFeatureService,
  location: DataLocation,
  session: DuckDbSession,
): Promise<Map<string, DataRelation>> => {
  const sources = new Map<string, CompiledSource>();
  for (const { view } of readsOf(service.features, repository)) {
    const source = storedViewOf(repository, view)?.source;
    if (source !== undefined) sources.set(source.name, source);
  }
  const relations = new Map<string, DataRelation>();
  for (const { name, batch } of sources.values()) {
    if (batch === undefined)
      throw new EngineFailedError(`The source ${name} has no batch data, which training sets are made from.`);
    relations.set(name, await openDataRelation(batch.data, location, `the source ${name}`, session));
  }
  return relations;
};

/** DuckDB's errors in words of ours; its own text, which may name paths and values, stays in the cause. */
export const engineError = (error: unknown): unknown => {
  if (!(error instanceof Error) || error instanceof MillraceError) return error;
  const list = /(the source \S+|the entity rows): the list \S+ has another length than \d+/.exec(error.message);
  if (list !== null) return new EngineFailedError(`DuckDB stopped: ${list[0]}.`, error);
  const overflow = /the SUM \S+ is beyond INT64/.exec(error.message);
  if (overflow !== null) return new EngineFailedError(`DuckDB stopped: ${overflow[0]}.`, error);
  const kind = /^([A-Z][A-Za-z ]+ Error)/.exec(error.message)?.[1] ?? "an error";
  return new EngineFailedError(`DuckDB stopped with ${kind}.`, error);
};
