import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { isAbsolute, relative, resolve } from "node:path";
import { pipeline } from "node:stream/promises";
import type { DuckDBConnection } from "@duckdb/node-api";
import { ValueType } from "@millrace/contracts/millrace/feature/v1/column";
import type { SqlSource } from "@millrace/contracts/millrace/feature/v1/feature_repository";
import type { Examples } from "@millrace/contracts/millrace/training/v1/training_spec";
import { MillraceError, Reason } from "@millrace/errors";
import type { CompiledField } from "@millrace/feature-definition";
import { type DataLocation, DuckDbSession, stageQuery } from "@millrace/feature-definition/duckdb";

/** Thrown when the files of the examples are missing, cannot be read, or lie outside of the data root. */
export class ExamplesUnreadableError extends MillraceError {
  constructor(field: string, expected: string, got: string, cause?: unknown) {
    super("INVALID_ARGUMENT", Reason.SOURCE_DATA_INVALID, `${field}: expected ${expected}, got ${got}.`, {
      violations: [{ field, expected, got }],
      cause,
    });
  }
}

/** Examples, opened in DuckDB: their columns as a view `examples`, in UTC and in the types of features. */
export interface ExamplesFiles {
  readonly connection: DuckDBConnection;
  readonly columns: readonly CompiledField[];
  /** Columns of types that no feature has, with DuckDB's word for the type. */
  readonly others: ReadonlyMap<string, string>;
  /** Hash of the files' names and contents, or of the query and its rows. */
  hash(): Promise<string>;
  close(): void;
}

/** Columns that the view has beside those of the files, for an order that is always the same. */
export const fileColumn = "millrace_file";
export const rowColumn = "millrace_row";

/**
 * Opens the Parquet or CSV files that a spec names, below the data root, or what its query gives.
 * @param rows `none` for the columns alone: of a query nothing is copied then.
 * @throws ExamplesUnreadableError; SourceDataInvalidError, SqlConnectionInvalidError and SqlConnectionUnavailableError of a
 * query.
 */
export const openExamplesFiles = async (
  data: Examples["data"],
  location: DataLocation,
  rows: "all" | "none" = "all",
): Promise<ExamplesFiles> => {
  if (data.case === undefined) {
    throw new ExamplesUnreadableError("dataset.examples", "parquet, csv or sql", "nothing");
  }
  const session = await DuckDbSession.open();
  const { connection } = session;
  const close = (): void => session.close();
  const field = `dataset.examples.${data.case}`;
  try {
    const { literal, hash } =
      data.case === "sql"
        ? await stagedQuery(data.value, location, rows, session)
        : await namedFiles(data.value, field, location.dataRoot, session);
    // CSV files are read in order by one thread: their rows have no number of their own.
    const scan =
      data.case === "csv"
        ? `(SELECT *, row_number() OVER () AS file_row_number FROM read_csv(${literal}, filename = '${fileColumn}', parallel = false))`
        : `read_parquet(${literal}, filename = '${fileColumn}', file_row_number = true)`;
    const described = (await connection.runAndReadAll(`DESCRIBE SELECT * FROM ${scan}`)).getRows();
    const columns: CompiledField[] = [];
    const others = new Map<string, string>();
    const projections = [`"${fileColumn}"`, `file_row_number AS "${rowColumn}"`];
    for (const [rawName, rawType] of described) {
      const name = String(rawName);
      const type = valueTypeOf(String(rawType));
      if (name === fileColumn || name === "file_row_number") {
        continue;
      }
      if (type === undefined) {
        others.set(name, String(rawType));
        continue;
      }
      const quoted = `"${name.replaceAll('"', '""')}"`;
      columns.push({ name, type: type.type });
      projections.push(`${type.cast(quoted)} AS ${quoted}`);
    }
    await connection.run(`CREATE VIEW examples AS SELECT ${projections.join(", ")} FROM ${scan}`);
    return { connection, columns, others, close, hash };
  } catch (error) {
    close();
    if (error instanceof MillraceError) {
      throw error;
    }
    throw new ExamplesUnreadableError(field, `readable data of ${data.case}`, textOf(data), error);
  }
};

const textOf = (data: Exclude<Examples["data"], { case: undefined }>): string =>
  data.case === "sql" ? data.value.query : data.value;

/** What stands in DuckDB's readers for the data, and what tells it from other data. */
interface Found {
  readonly literal: string;
  readonly hash: () => Promise<string>;
}

const namedFiles = async (pattern: string, field: string, dataRoot: string, session: DuckDbSession): Promise<Found> => {
  const path = resolve(dataRoot, pattern);
  if (isAbsolute(relative(dataRoot, path)) || relative(dataRoot, path).startsWith("..")) {
    throw new ExamplesUnreadableError(field, `a path below the data root`, pattern);
  }
  const literal = `'${path.replaceAll("'", "''")}'`;
  const files = (await session.rows(`SELECT file FROM glob(${literal}) ORDER BY file`)).map(([file]) => String(file));
  if (files.length === 0) {
    throw new ExamplesUnreadableError(field, "files", `none at ${pattern}`);
  }
  return { literal, hash: () => hashOf(files, dataRoot) };
};

const stagedQuery = async (
  source: SqlSource,
  { sqlConnectionsFile }: DataLocation,
  rows: "all" | "none",
  session: DuckDbSession,
): Promise<Found> => {
  const bounds = rows === "none" ? "no rows" : undefined;
  const file = await stageQuery(source, sqlConnectionsFile, "the examples", session, bounds);
  return {
    literal: `'${file.path.replaceAll("'", "''")}'`,
    hash: async () =>
      createHash("sha256")
        .update(JSON.stringify([file.name, file.tag]))
        .digest("hex"),
  };
};

const castTo =
  (sql: string) =>
  (column: string): string =>
    `CAST(${column} AS ${sql})`;

const valueTypeOf = (duckDbType: string): { type: ValueType; cast: (column: string) => string } | undefined => {
  if (/^(TINYINT|SMALLINT|INTEGER|BIGINT|UTINYINT|USMALLINT|UINTEGER)$/.test(duckDbType)) {
    return { type: ValueType.INT64, cast: castTo("BIGINT") };
  }
  if (/^(DOUBLE|DECIMAL.*|UBIGINT|HUGEINT)$/.test(duckDbType)) {
    return { type: ValueType.DOUBLE, cast: castTo("DOUBLE") };
  }
  if (duckDbType === "TIMESTAMP WITH TIME ZONE") {
    // A cast would go by the session's time zone, which needs an extension of DuckDB.
    return { type: ValueType.TIMESTAMP, cast: (column) => `make_timestamp(epoch_us(${column}))` };
  }
  if (duckDbType === "DATE" || duckDbType.startsWith("TIMESTAMP")) {
    return { type: ValueType.TIMESTAMP, cast: castTo("TIMESTAMP") };
  }
  if (duckDbType.startsWith("ENUM")) {
    return { type: ValueType.STRING, cast: castTo("VARCHAR") };
  }
  const simple = { BOOLEAN: ValueType.BOOL, FLOAT: ValueType.FLOAT, VARCHAR: ValueType.STRING }[duckDbType];
  return simple === undefined ? undefined : { type: simple, cast: castTo(duckDbType) };
};

const hashOf = async (files: readonly string[], dataRoot: string): Promise<string> => {
  const hash = createHash("sha256");
  for (const file of files) {
    const content = createHash("sha256");
    await pipeline(createReadStream(file), content);
    hash.update(`${relative(dataRoot, file)}\0${content.digest("hex")}\n`);
  }
  return hash.digest("hex");
};
