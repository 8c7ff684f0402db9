import { createHash } from "node:crypto";
import { glob, stat } from "node:fs/promises";
import { isAbsolute, relative, resolve } from "node:path";
import {
  DuckDBBlobValue,
  type DuckDBConnection,
  DuckDBInstance,
  DuckDBListValue,
  type DuckDBValue,
} from "@duckdb/node-api";
import { ValueType } from "@millrace/contracts/millrace/feature/v1/column";
import { MillraceError, Reason } from "@millrace/errors";
import type { CompiledField, CompiledSource, Row, Scalar } from "@millrace/feature-definition";

/** Thrown when the batch data of a source is missing, lies outside of the data root, or lacks a declared column. */
export class SourceDataInvalidError extends MillraceError {
  constructor(source: string, detail: string, cause?: unknown) {
    super("FAILED_PRECONDITION", Reason.SOURCE_DATA_INVALID, `Source ${source}: ${detail}.`, {
      resource: { kind: "source", name: source },
      ...(cause === undefined ? {} : { cause }),
    });
  }
}

/** A row of batch data with its place: rows are numbered by file name, then by row. */
export interface BatchRow {
  readonly ordinal: number;
  readonly row: Row;
}

/** The batch data of a source, as it lies in its files. */
export class BatchRows {
  /** Hash of the files' names, sizes and times: other files give another. */
  readonly snapshot: string;
  readonly #source: CompiledSource;
  readonly #connection: DuckDBConnection;
  readonly #instance: DuckDBInstance;
  readonly #from: string;
  readonly #columns: readonly string[];

  private constructor(
    source: CompiledSource,
    snapshot: string,
    instance: DuckDBInstance,
    connection: DuckDBConnection,
    from: string,
    columns: readonly string[],
  ) {
    this.snapshot = snapshot;
    this.#source = source;
    this.#instance = instance;
    this.#connection = connection;
    this.#from = from;
    this.#columns = columns;
  }

  /** @throws SourceDataInvalidError */
  static async open(source: CompiledSource, dataRoot: string): Promise<BatchRows> {
    const { files, reader } = await filesOf(source, dataRoot);
    const instance = await DuckDBInstance.create(":memory:", {
      autoinstall_known_extensions: "false",
      threads: "1",
    });
    const connection = await instance.connect();
    try {
      const list = files.map(({ path }) => `'${path.replaceAll("'", "''")}'`).join(", ");
      const from = reader(`[${list}]`);
      const described = await connection.runAndReadAll(`DESCRIBE SELECT * FROM ${from}`);
      const types = new Map(described.getRows().map(([name, type]) => [String(name), String(type)]));
      const missing = source.fields.filter(({ name }) => !types.has(name)).map(({ name }) => name);
      if (missing.length > 0) {
        const known = [...types.keys()].join(", ");
        throw new SourceDataInvalidError(
          source.name,
          `its files have no column ${missing.join(", ")}; they have ${known}`,
        );
      }
      const columns = source.fields.map((field) => columnSql(field, types.get(field.name) ?? ""));
      const snapshot = createHash("sha256").update(JSON.stringify(files)).digest("hex").slice(0, 16);
      return new BatchRows(source, snapshot, instance, connection, from, columns);
    } catch (error) {
      connection.closeSync();
      instance.closeSync();
      if (error instanceof MillraceError) throw error;
      throw new SourceDataInvalidError(source.name, "its files cannot be read", error);
    }
  }

  /** How many rows there are, and the creation time up to which they are complete, in microseconds. */
  async summary(): Promise<{ readonly rows: number; readonly completeUpToUs: number | undefined }> {
    const { fields, createdAt, eventTime, completeUpTo } = this.#source;
    const column = completeUpTo?.column ?? createdAt ?? eventTime;
    const created = this.#columns[fields.findIndex(({ name }) => name === column)] ?? "NULL";
    const read = await this.#connection.runAndReadAll(`SELECT count(*), max(${created}) FROM ${this.#from}`);
    const [[rows = 0n, newest = null] = []] = read.getRows();
    const lagUs = completeUpTo?.lagUs ?? 0n;
    return { rows: Number(rows), completeUpToUs: typeof newest === "bigint" ? Number(newest - lagUs) : undefined };
  }

  /** How many rows there are; of Parquet without reading any. */
  async count(): Promise<number> {
    const read = await this.#connection.runAndReadAll(`SELECT count(*) FROM ${this.#from}`);
    return Number(read.getRows()[0]?.[0] ?? 0n);
  }

  /**
   * The rows in the order of their ordinals, from one on, in chunks.
   * @param fromUs leaves out rows whose event time is before, @param toUs and those at or after.
   */
  async *read(firstOrdinal: number, fromUs: number, toUs: number): AsyncGenerator<BatchRow[]> {
    const { fields, eventTime } = this.#source;
    const time = this.#columns[fields.findIndex(({ name }) => name === eventTime)] ?? "NULL";
    const bounds = [
      `ordinal >= ${firstOrdinal}`,
      Number.isFinite(fromUs) ? `event_time_us >= ${fromUs}` : "",
      Number.isFinite(toUs) ? `event_time_us < ${toUs}` : "",
    ].filter((bound) => bound !== "");
    const names = fields.map((_field, index) => `c${index}`);
    const selected = this.#columns.map((column, index) => `${column} AS c${index}`).join(", ");
    const sql = `SELECT ordinal, ${names.join(", ")} FROM (SELECT row_number() OVER (ORDER BY filename, row_in_file) - 1 AS ordinal, ${time} AS event_time_us, ${selected} FROM (SELECT *${rowInFile(this.#source)} FROM ${this.#from})) WHERE ${bounds.join(" AND ")} ORDER BY ordinal`;
    const result = await this.#connection.stream(sql);
    for (;;) {
      const chunk = await result.fetchChunk();
      if (chunk === null || chunk.rowCount === 0) return;
      const [ordinals = [], ...columns] = chunk.getColumns();
      yield ordinals.map((ordinal, index) => ({
        ordinal: Number(ordinal),
        row: columns.map((column, field) => scalarOf(column[index] ?? null, fields[field]?.type)),
      }));
    }
  }

  close(): void {
    this.#connection.closeSync();
    this.#instance.closeSync();
  }
}

interface DataFile {
  readonly path: string;
  readonly bytes: number;
  readonly modifiedMs: number;
}

async function filesOf(source: CompiledSource, dataRoot: string) {
  const data = source.batch?.data;
  if (data?.case !== "parquet" && data?.case !== "csv") {
    const what = data?.case === "sql" ? "reads from a SQL connection, which is not built yet" : "has no batch data";
    throw new SourceDataInvalidError(source.name, `it ${what}`);
  }
  const root = resolve(dataRoot);
  const pattern = resolve(root, data.value);
  const inside = relative(root, pattern);
  if (isAbsolute(inside) || inside.startsWith("..")) {
    throw new SourceDataInvalidError(source.name, `${data.value} lies outside of the data root`);
  }
  const files: DataFile[] = [];
  for await (const path of glob(pattern)) {
    const { size, mtimeMs } = await stat(path);
    files.push({ path, bytes: size, modifiedMs: mtimeMs });
  }
  if (files.length === 0)
    throw new SourceDataInvalidError(source.name, `there is no file ${data.value} in the data root`);
  files.sort((a, b) => (a.path < b.path ? -1 : 1));
  const reader =
    data.case === "parquet"
      ? (list: string) => `read_parquet(${list}, filename = true, file_row_number = true, union_by_name = true)`
      : (list: string) => `read_csv(${list}, filename = true, union_by_name = true)`;
  return { files, reader };
}

/** Parquet numbers its rows; of a CSV file the rows come in their order. */
function rowInFile(source: CompiledSource): string {
  return source.batch?.data.case === "parquet"
    ? ", file_row_number AS row_in_file"
    : ", row_number() OVER () AS row_in_file";
}

const sqlTypes: Readonly<Record<number, string>> = {
  [ValueType.BOOL]: "BOOLEAN",
  [ValueType.INT64]: "BIGINT",
  [ValueType.DOUBLE]: "DOUBLE",
  [ValueType.FLOAT]: "FLOAT",
  [ValueType.STRING]: "VARCHAR",
  [ValueType.BYTES]: "BLOB",
  [ValueType.BOOL_LIST]: "BOOLEAN[]",
  [ValueType.INT64_LIST]: "BIGINT[]",
  [ValueType.DOUBLE_LIST]: "DOUBLE[]",
  [ValueType.FLOAT_LIST]: "FLOAT[]",
  [ValueType.STRING_LIST]: "VARCHAR[]",
  [ValueType.BYTES_LIST]: "BLOB[]",
};

/** A column in the form of its declared type; times as microseconds. */
function columnSql({ name, type }: CompiledField, found: string): string {
  const column = `"${name.replaceAll('"', '""')}"`;
  if (type === ValueType.TIMESTAMP) return found === "BIGINT" ? column : `epoch_us(${column}::TIMESTAMP)`;
  return `CAST(${column} AS ${sqlTypes[type] ?? "VARCHAR"})`;
}

function scalarOf(value: DuckDBValue, type: ValueType | undefined): Scalar {
  if (value === null) return null;
  if (value instanceof DuckDBBlobValue) return value.bytes;
  if (value instanceof DuckDBListValue) return value.items.map((item) => scalarOf(item, type));
  if (
    typeof value === "boolean" ||
    typeof value === "bigint" ||
    typeof value === "number" ||
    typeof value === "string"
  ) {
    return value;
  }
  throw new TypeError(`A value of type ${type} came as ${String(value)}.`);
}
