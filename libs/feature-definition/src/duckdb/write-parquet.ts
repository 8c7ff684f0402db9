import { quoteText } from "../expression/duckdb-literal.ts";
import type { DuckDbSession } from "./duckdb-session.ts";

/** Writes what a query gives to a Parquet file. @returns the rows written. */
export const writeParquet = async (sql: string, path: string, session: DuckDbSession): Promise<number> => {
  const [written] = await session.rows(`COPY (${sql}) TO ${quoteText(path)} (FORMAT parquet, COMPRESSION zstd)`);
  return Number(written?.[0] ?? 0);
};
