import { createWriteStream } from "node:fs";
import { pipeline } from "node:stream/promises";
import type { SqlSource } from "@millrace/contracts/millrace/feature/v1/feature_repository";
import { Client, DatabaseError } from "pg";
import { to as copyTo } from "pg-copy-streams";
import { SourceDataInvalidError } from "../duckdb/source-data-invalid-error.ts";
import { quoteIdentifier } from "../expression/duckdb-literal.ts";
import { type ColumnCopy, columnCopy } from "./column-copy.ts";
import { type ParsedQuery, parseQuery } from "./parse-query.ts";
import { connectionAddress, SqlConnectionUnavailableError } from "./sql-connections.ts";

/** Rows by a column's value in microseconds since 1970: from one on, up to but without another. */
export interface TimeBounds {
  readonly column: string;
  readonly fromUs: number;
  readonly toUs: number;
}

export interface CopiedColumn {
  readonly name: string;
  /** Undefined where the column's type has no value type: it is not copied. */
  readonly copy: ColumnCopy | undefined;
}

export interface CopiedQuery {
  readonly columns: readonly CopiedColumn[];
  readonly isOrdered: boolean;
}

const connectTimeoutMs = 10_000;

/**
 * Copies what a query gives into a CSV file, by one COPY in one read-only transaction: null as `\N`, all else quoted.
 * @param what whose data it is, for errors.
 * @throws SqlConnectionInvalidError, SqlConnectionUnavailableError; SourceDataInvalidError where the database refuses
 * the query; the signal's reason.
 */
export const copyQuery = (
  { connection, query: text }: SqlSource,
  connectionsFile: string | undefined,
  csvFile: string,
  what: string,
  bounds?: TimeBounds | "no rows",
  signal?: AbortSignal,
): Promise<CopiedQuery> => {
  const query = parsed(text, what);
  return inTransaction(connection, connectionsFile, what, signal, async (client) => {
    const columns = await describe(client, query);
    const copied = columns.flatMap(({ name, copy }) => (copy === undefined ? [] : [copy.write(quoteIdentifier(name))]));
    if (copied.length === 0) {
      throw new SourceDataInvalidError(what, [
        { field: "sql.query", expected: "at least one column of a type that features have", got: "none" },
      ]);
    }
    const select = `SELECT ${copied.join(", ")} FROM (\n${query.text}\n) AS q${where(bounds, columns)}`;
    const rows = client.query(copyTo(`COPY (${select}) TO STDOUT (FORMAT csv, NULL '\\N', FORCE_QUOTE *)`));
    await pipeline(rows, createWriteStream(csvFile, { mode: 0o600 }), { ...(signal !== undefined && { signal }) });
    return { columns, isOrdered: query.isOrdered };
  });
};

/**
 * How many rows the database's planner expects of a query; it reads none.
 * @throws as `copyQuery` does.
 */
export const estimateRows = (
  { connection, query: text }: SqlSource,
  connectionsFile: string | undefined,
  what: string,
): Promise<number> => {
  const query = parsed(text, what);
  return inTransaction(connection, connectionsFile, what, undefined, async (client) => {
    const explained = await client.query<{ "QUERY PLAN": readonly { Plan: { "Plan Rows": number } }[] }>(
      `EXPLAIN (FORMAT JSON) ${query.text}`,
    );
    return explained.rows[0]?.["QUERY PLAN"][0]?.Plan["Plan Rows"] ?? 0;
  });
};

const parsed = (text: string, what: string): ParsedQuery => {
  const query = parseQuery(text);
  if (typeof query !== "string") return query;
  throw new SourceDataInvalidError(what, [{ field: "sql.query", expected: "one SELECT", got: query }]);
};

const where = (bounds: TimeBounds | "no rows" | undefined, columns: readonly CopiedColumn[]): string => {
  if (bounds === "no rows") return " LIMIT 0";
  if (bounds === undefined) return "";
  const instant = columns.find(({ name }) => name === bounds.column)?.copy?.instant;
  if (instant === undefined) return "";
  const time = quoteIdentifier(bounds.column);
  const conditions = [
    ...(Number.isFinite(bounds.fromUs) ? [`${time} >= ${instant(bounds.fromUs)}`] : []),
    ...(Number.isFinite(bounds.toUs) ? [`${time} < ${instant(bounds.toUs)}`] : []),
  ];
  return conditions.length === 0 ? "" : ` WHERE ${conditions.join(" AND ")}`;
};

const describe = async (client: Client, query: ParsedQuery): Promise<CopiedColumn[]> => {
  const { fields } = await client.query(`SELECT * FROM (\n${query.text}\n) AS q LIMIT 0`);
  const oids = fields.map(({ dataTypeID }) => dataTypeID);
  const found = await client.query<{ oid: number }>(
    "SELECT oid::int8::float8 AS oid FROM pg_catalog.pg_type WHERE oid = ANY ($1::oid[]) AND typtype = 'e'",
    [oids],
  );
  const enums = new Set(found.rows.map(({ oid }) => oid));
  return fields.map(({ name, dataTypeID }) => ({ name, copy: columnCopy(dataTypeID, enums.has(dataTypeID)) }));
};

const inTransaction = async <T>(
  connection: string,
  connectionsFile: string | undefined,
  what: string,
  signal: AbortSignal | undefined,
  work: (client: Client) => Promise<T>,
): Promise<T> => {
  const connectionString = await connectionAddress(connection, connectionsFile);
  const client = new Client({
    connectionString,
    connectionTimeoutMillis: connectTimeoutMs,
    application_name: "millrace",
    keepAlive: true,
  });
  // A connection that breaks between two statements says so here; the next statement fails by itself.
  client.on("error", () => undefined);
  try {
    await client.connect();
    // Within the transaction, since a pool in front of the database may give the next one another session.
    await client.query("BEGIN TRANSACTION READ ONLY");
    await client.query("SET LOCAL extra_float_digits = 3; SET LOCAL TimeZone = 'UTC'");
    return await work(client);
  } catch (error) {
    if (signal?.aborted === true) await cancelQuery(client, connectionString);
    signal?.throwIfAborted();
    throw asOwnError(error, connection, what);
  } finally {
    await client.end();
  }
};

/** Has the server stop a query that nobody waits for: by itself it may go on for long before it notices. */
const cancelQuery = async ({ processID }: Client & { processID?: number }, connectionString: string): Promise<void> => {
  const other = new Client({ connectionString, connectionTimeoutMillis: connectTimeoutMs });
  other.on("error", () => undefined);
  try {
    await other.connect();
    await other.query("SELECT pg_cancel_backend($1)", [processID]);
  } catch {
    // The server is gone, or takes no more connections: then the query ends when it next writes to the closed one.
  } finally {
    await other.end();
  }
};

/** Classes of SQLSTATE that are about the query itself: their messages name what its author wrote, and no data. */
const aboutTheQuery = ["0A", "25", "42"];
const aboutTheConnection = ["08", "28", "3D", "53", "57"];

const asOwnError = (error: unknown, connection: string, what: string): unknown => {
  if (error instanceof DatabaseError) {
    const state = error.code ?? "";
    const kind = state.slice(0, 2);
    if (aboutTheConnection.includes(kind)) {
      return new SqlConnectionUnavailableError(connection, `${error.message} (SQLSTATE ${state})`, error);
    }
    const got = aboutTheQuery.includes(kind) ? `${error.message} (SQLSTATE ${state})` : `SQLSTATE ${state}`;
    return new SourceDataInvalidError(what, [
      { field: "sql.query", expected: "a query that the database answers", got },
    ]);
  }
  if (error instanceof Error && isOfTheConnection(error)) {
    return new SqlConnectionUnavailableError(connection, error.message || "it cannot be connected to", error);
  }
  return error;
};

/** What Node and the driver throw for a socket that does not open, or closes in the middle. */
const isOfTheConnection = (error: Error): boolean =>
  ("syscall" in error && /^(connect|read|write|getaddrinfo)$/.test(String(error.syscall))) ||
  ("code" in error && /^E(CONN|HOST|NET|PIPE|TIMEDOUT)|^ERR_(TLS|SSL)|CERT/.test(String(error.code))) ||
  /^(Connection terminated|timeout expired|The server does not support SSL)/.test(error.message);
