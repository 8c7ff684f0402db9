import { access } from "node:fs/promises";
import type { DuckDBConnection } from "@duckdb/node-api";
import { ComparisonInvalidError } from "./comparison-invalid-error.ts";

/** A table as DuckDB reads it. */
export interface ComparedTable {
  /** What stands after FROM. */
  readonly sql: string;
  /** DuckDB's type by column; Arrow's of a column that is not compared. */
  readonly types: ReadonlyMap<string, string>;
}

/** @param field what the file is to the caller, for the error. @throws ComparisonInvalidError where it cannot be read. */
export const openParquetTable = async (
  connection: DuckDBConnection,
  field: string,
  path: string,
): Promise<ComparedTable> => {
  const sql = `read_parquet('${path.replaceAll("'", "''")}')`;
  try {
    await access(path);
    const rows = await (await connection.run(`DESCRIBE SELECT * FROM ${sql}`)).getRowsJS();
    return { sql, types: new Map(rows.map(([name, type]) => [String(name), String(type)])) };
  } catch (cause) {
    throw new ComparisonInvalidError(
      `\`${path}\` cannot be read as a Parquet file.`,
      [{ field, expected: "a readable Parquet file", got: path }],
      cause,
    );
  }
};

export const quoteIdentifier = (name: string): string => `"${name.replaceAll('"', '""')}"`;
