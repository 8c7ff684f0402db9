import { existsSync, readdirSync } from "node:fs";
import { mkdir, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type DuckDBConnection, DuckDBInstance } from "@duckdb/node-api";

const zonesFile = join(import.meta.dirname, "../flights/airport-time-zones.csv");

/** The folder holds the data of another period, and stores were filled from it. */
export class OtherPeriodError extends Error {
  constructor(folder: string) {
    super(`${folder} was prepared for another period. Use --fresh, or another --state.`);
    this.name = "OtherPeriodError";
  }
}

/** A path as a SQL string literal. */
const literal = (text: string): string => `'${text.replaceAll("'", "''")}'`;

/**
 * The walkthrough's data as Parquet, made once from the three million flights of the npm package vega-datasets:
 *
 * - `flights.parquet`: flight, origin, destination, distance (miles), delay (minutes, of the arrival), departed_at and
 *   arrived_at in UTC; ordered by departed_at.
 * - `arrivals.parquet`: the same flights as facts about the airport where they came in, ordered by arrived_at.
 * - `airports.parquet`: where an airport lies and its offset from UTC, one row from each moment that it changed.
 *
 * The source has the actual departure in the airport's local time, so each origin's time zone is looked up in a table
 * that stands beside the definitions. It has no arrival time: 40 minutes and a minute for every 7.5 miles after the
 * departure is our estimate. It has no key: a flight's number is its row.
 * @param folder where the files go. A folder that was prepared before is left as it is.
 * @param until only flights that departed before, as a UTC timestamp of SQL.
 */
export const prepareFlightData = async (folder: string, until: string): Promise<void> => {
  await mkdir(folder, { recursive: true });
  // Written last, so that a preparation that was cut off, or was made for a shorter time, is made again.
  const done = join(folder, `until-${until}`);
  if (existsSync(done)) return;
  if (readdirSync(folder).some((name) => name.startsWith("until-"))) throw new OtherPeriodError(folder);
  const data = fileURLToPath(new URL("../data", import.meta.resolve("vega-datasets")));
  const instance = await DuckDBInstance.create(":memory:", { autoinstall_known_extensions: "false" });
  const connection = await instance.connect();
  try {
    await connection.run("SET TimeZone = 'UTC'");
    await connection.run(`
      CREATE TABLE zones AS SELECT * FROM read_csv(${literal(zonesFile)}, header = true);
      CREATE TABLE flights AS
      SELECT flight, origin, destination, distance, delay, departed_at,
             departed_at + to_minutes(40 + CAST(round(distance / 7.5) AS BIGINT)) AS arrived_at
      FROM (
        SELECT file_row_number + 1 AS flight, origin, destination, distance, delay,
               CAST(timezone(time_zone, date) AS TIMESTAMP) AS departed_at
        FROM read_parquet(${literal(join(data, "flights-3m.parquet"))}, file_row_number = true) JOIN zones ON airport = origin
      ) WHERE departed_at < TIMESTAMP ${literal(until)}`);
    await writeParquet(
      connection,
      "SELECT * FROM flights ORDER BY departed_at, flight",
      join(folder, "flights.parquet"),
    );
    await writeParquet(
      connection,
      `SELECT destination AS airport, flight, delay, arrived_at, arrived_at AS received_at
       FROM flights ORDER BY arrived_at, flight`,
      join(folder, "arrivals.parquet"),
    );
    // Summer time began on the first Sunday of April in 2001, at two in the morning by the clock.
    await writeParquet(
      connection,
      `WITH clocks AS (
         SELECT airport, time_zone, valid_from,
                CAST(round(epoch(valid_from) - epoch(CAST(timezone(time_zone, timezone('UTC', valid_from)) AS TIMESTAMP))) AS BIGINT) / -60 AS utc_offset_minutes
         FROM zones, (VALUES (TIMESTAMP '2000-11-01 00:00:00'), (NULL)) AS moments (fixed),
         LATERAL (SELECT coalesce(fixed, CAST(timezone(time_zone, TIMESTAMP '2001-04-01 03:00:00') AS TIMESTAMP)) AS valid_from)
       )
       SELECT clocks.airport, latitude, longitude, CAST(utc_offset_minutes AS BIGINT) AS utc_offset_minutes, valid_from
       FROM clocks LEFT JOIN read_csv(${literal(join(data, "airports.csv"))}, header = true) AS places ON places.iata = clocks.airport
       QUALIFY lag(utc_offset_minutes) OVER (PARTITION BY clocks.airport ORDER BY valid_from) IS DISTINCT FROM utc_offset_minutes
       ORDER BY valid_from, airport`,
      join(folder, "airports.parquet"),
    );
    await writeFile(done, "");
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
};

/** Writes beside and renames, so that a file that is there is whole. */
const writeParquet = async (connection: DuckDBConnection, query: string, file: string): Promise<void> => {
  await connection.run(`COPY (${query}) TO ${literal(`${file}.part`)} (FORMAT parquet, COMPRESSION zstd)`);
  await rename(`${file}.part`, file);
};
