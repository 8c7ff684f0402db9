import { rm, stat } from "node:fs/promises";
import { join } from "node:path";
import type { SqlSource } from "@millrace/contracts/millrace/feature/v1/feature_repository";
import type { DataFile } from "../duckdb/data-files.ts";
import type { DuckDbSession } from "../duckdb/duckdb-session.ts";
import { quoteIdentifier, quoteText } from "../expression/duckdb-literal.ts";
import { copyQuery, type TimeBounds } from "./copy-query.ts";

/** Bytes of one row at most. */
const longestRowBytes = 64 * 1024 * 1024;

/**
 * Copies what a query gives into a Parquet file that lives as long as the session. A query has no order by itself:
 * unless it says one, its rows are put in the order of all their columns, so that the same rows make the same file.
 * Columns without a value type are left out.
 * @throws as `copyQuery` does.
 */
export const stageQuery = async (
  source: SqlSource,
  connectionsFile: string | undefined,
  what: string,
  session: DuckDbSession,
  bounds?: TimeBounds | "no rows",
): Promise<DataFile> => {
  const stem = join(session.folder, crypto.randomUUID());
  const csv = `${stem}.csv`;
  try {
    const { columns, isOrdered } = await copyQuery(source, connectionsFile, csv, what, bounds, session.signal);
    const copied = columns.flatMap(({ name, copy }) => (copy === undefined ? [] : [{ name, copy }]));
    const types = copied.map((_column, index) => `'c${index}': 'VARCHAR'`).join(", ");
    const rows = `read_csv(${quoteText(csv)}, auto_detect = false, header = false, delim = ',', quote = '"', escape = '"',
      nullstr = '\\N', allow_quoted_nulls = false, parallel = false, max_line_size = ${longestRowBytes}, columns = {${types}})`;
    const read = copied.map(({ name, copy }, index) => `${copy.read(`c${index}`)} AS ${quoteIdentifier(name)}`);
    const path = `${stem}.parquet`;
    const { size } = await stat(csv);
    const order = isOrdered ? "" : " ORDER BY ALL";
    await session.connection.run(
      `COPY (SELECT ${read.join(", ")} FROM ${rows}${order}) TO ${quoteText(path)} (FORMAT parquet)`,
    );
    const tag = await rowsTag(
      path,
      copied.map(({ name }) => quoteIdentifier(name)),
      session,
    );
    return { path, name: `${source.connection}: ${source.query}`, sizeBytes: size, tag };
  } finally {
    await rm(csv, { force: true });
  }
};

/**
 * A tag of rows whatever their order and however the file holds them: their number, and the sum of half of each row's MD5.
 * PostgreSQL's text has no NUL, which therefore can stand between values and for null.
 */
const rowsTag = async (path: string, columns: readonly string[], session: DuckDbSession): Promise<string> => {
  const texts = columns.map((column) => `coalesce(CAST(${column} AS VARCHAR), chr(0) || 'n')`);
  const hash = `md5_number(concat_ws(chr(0), ${texts.join(", ")}))`;
  const found = await session.rows(
    `SELECT count(*), sum(CAST(${hash} >> 64 AS HUGEINT)) FROM read_parquet(${quoteText(path)})`,
  );
  return found.flat().map(String).join(" ");
};
