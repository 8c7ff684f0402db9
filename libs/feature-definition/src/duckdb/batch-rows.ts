import {
  DuckDBBlobValue,
  DuckDBListValue,
  DuckDBTimestampTZValue,
  DuckDBTimestampValue,
  type DuckDBValue,
} from "@duckdb/node-api";
import type { CompiledSource, Row, Scalar } from "../compiled.ts";
import { sha256 } from "../digest.ts";
import { quoteIdentifier } from "../expression/duckdb-literal.ts";
import { estimateRows } from "../sql-source/copy-query.ts";
import { contentTag } from "./data-files.ts";
import { type DataLocation, type DataRelation, openDataRelation } from "./data-relation.ts";
import { DuckDbSession } from "./duckdb-session.ts";
import { EngineFailedError } from "./engine-failed-error.ts";
import { engineError } from "./training-set.ts";

/** A row of batch data with its place: rows are numbered by file name, then by row. */
export interface BatchRow {
  readonly ordinal: number;
  readonly row: Row;
}

/** Facts by their event time, in microseconds since 1970: from one on, up to but without another. */
export interface EventTimes {
  readonly fromUs: number;
  readonly toUs: number;
}

/** The batch data of a source, row by row, as training sets read it. */
export class BatchRows {
  /** Tells the data that was opened from any other: the files' names and content, or the rows that a query gave. */
  readonly snapshot: string;
  readonly #source: CompiledSource;
  readonly #session: DuckDbSession;
  readonly #relation: DataRelation;
  readonly #times: EventTimes;

  private constructor(
    source: CompiledSource,
    snapshot: string,
    session: DuckDbSession,
    relation: DataRelation,
    times: EventTimes,
  ) {
    this.#source = source;
    this.snapshot = snapshot;
    this.#session = session;
    this.#relation = relation;
    this.#times = times;
  }

  /**
   * @param times leaves out what happened outside of them; of a `sql` source it is not even copied.
   * @param signal ends a copy that is under way.
   * @throws SourceDataInvalidError, SqlConnectionInvalidError, SqlConnectionUnavailableError, EngineFailedError
   */
  static async open(
    source: CompiledSource,
    location: DataLocation,
    times: EventTimes,
    signal?: AbortSignal,
  ): Promise<BatchRows> {
    if (source.batch === undefined) throw new EngineFailedError(`The source ${source.name} has no batch data.`);
    const session = await DuckDbSession.open({ threads: 1, signal });
    try {
      const bounds = { column: source.eventTime, ...times };
      const what = `the source ${source.name}`;
      const relation = await openDataRelation(source.batch.data, location, what, session, bounds);
      // Names what is wrong with the columns before any row is asked for.
      relation.select(source.fields);
      const tags: unknown[] = [];
      for (const file of relation.files) tags.push([file.name, file.sizeBytes, await contentTag(file)]);
      return new BatchRows(source, sha256(JSON.stringify(tags)).slice(0, 16), session, relation, times);
    } catch (error) {
      session.close();
      signal?.throwIfAborted();
      throw engineError(error);
    }
  }

  /** How many rows there are, and the creation time up to which they are complete, in microseconds. */
  async summary(): Promise<{ readonly rows: number; readonly completeUpToUs: number | undefined }> {
    const { fields, createdAt, eventTime, completeUpTo } = this.#source;
    const created = fields.filter(({ name }) => name === (completeUpTo?.column ?? createdAt ?? eventTime));
    const column = created.map(({ name }) => quoteIdentifier(name)).join();
    const [[rows = 0n, newest = null] = []] = await this.#session.rows(
      `SELECT count(*), epoch_us(max(${column})) FROM (${this.#relation.select(created)})`,
    );
    const lagUs = completeUpTo?.lagUs ?? 0n;
    return { rows: Number(rows), completeUpToUs: typeof newest === "bigint" ? Number(newest - lagUs) : undefined };
  }

  /**
   * The rows in the order of their ordinals, from one on, in chunks.
   * @throws EngineFailedError
   */
  async *read(firstOrdinal: number): AsyncGenerator<BatchRow[]> {
    const { fields, eventTime } = this.#source;
    const { fromUs, toUs } = this.#times;
    const time = `epoch_us(${quoteIdentifier(eventTime)})`;
    const bounds = [
      `ordinal >= ${firstOrdinal}`,
      ...(Number.isFinite(fromUs) ? [`${time} >= ${fromUs}`] : []),
      ...(Number.isFinite(toUs) ? [`${time} < ${toUs}`] : []),
    ];
    const names = fields.map(({ name }) => quoteIdentifier(name)).join(", ");
    const ordered = `SELECT ${names}, row_number() OVER (ORDER BY "__sequence") - 1 AS ordinal FROM (${this.#relation.select(fields)})`;
    const sql = `SELECT ordinal, ${names} FROM (${ordered}) WHERE ${bounds.join(" AND ")} ORDER BY ordinal`;
    try {
      const result = await this.#session.connection.stream(sql);
      for (;;) {
        const chunk = await result.fetchChunk();
        if (chunk === null || chunk.rowCount === 0) return;
        const [ordinals = [], ...columns] = chunk.getColumns();
        yield ordinals.map((ordinal, index) => ({
          ordinal: Number(ordinal),
          row: columns.map((column) => scalarOf(column[index] ?? null)),
        }));
      }
    } catch (error) {
      throw engineError(error);
    }
  }

  close(): void {
    this.#session.close();
  }
}

/**
 * How many facts a source has: of Parquet by the files' own metadata, of a query by the plan of its database. Undefined
 * for data of which nothing says it without reading all of it.
 * @throws as `BatchRows.open` does.
 */
export const countBatchRows = async (source: CompiledSource, location: DataLocation): Promise<number | undefined> => {
  const what = `the source ${source.name}`;
  const data = source.batch?.data;
  if (data?.case === "sql") return estimateRows(data.value, location.sqlConnectionsFile, what);
  if (data?.case !== "parquet") return undefined;
  const session = await DuckDbSession.open({ threads: 1 });
  try {
    const relation = await openDataRelation(data, location, what, session);
    relation.select(source.fields);
    const [[rows = 0n] = []] = await session.rows(`SELECT count(*) FROM (${relation.select([])})`);
    return Number(rows);
  } catch (error) {
    throw engineError(error);
  } finally {
    session.close();
  }
};

/** A value in the form that rows have it; times in microseconds. */
const scalarOf = (value: DuckDBValue): Scalar => {
  if (value === null) return null;
  if (value instanceof DuckDBBlobValue) return value.bytes;
  if (value instanceof DuckDBTimestampValue || value instanceof DuckDBTimestampTZValue) return value.micros;
  if (value instanceof DuckDBListValue) return value.items.map(scalarOf);
  if (
    typeof value === "boolean" ||
    typeof value === "bigint" ||
    typeof value === "number" ||
    typeof value === "string"
  ) {
    return value;
  }
  throw new TypeError(`DuckDB gave a value that no column of ours has: ${String(value)}.`);
};
