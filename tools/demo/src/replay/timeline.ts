import { join } from "node:path";
import { DuckDBInstance } from "@duckdb/node-api";

/** What happens at one moment of the replay. Times are UTC microseconds. */
export type TimelineEvent =
  /** An aircraft came in: a fact about the airport, appended to the stream of arrivals. */
  | {
      readonly kind: "arrival";
      readonly atUs: number;
      readonly airport: string;
      readonly flight: number;
      readonly delay: number;
    }
  /** A flight pushes back: it is predicted. */
  | {
      readonly kind: "departure";
      readonly atUs: number;
      readonly airport: string;
      readonly flight: number;
      readonly distance: number;
    }
  /** A predicted flight arrived: its label is known. */
  | {
      readonly kind: "label";
      readonly atUs: number;
      readonly airport: string;
      readonly flight: number;
      readonly late: boolean;
    };

export interface Timeline {
  /** Everything from `fromUs` (included) to `toUs` in the order of its time, grouped by the airport it concerns. */
  events(fromUs: number, toUs: number): Promise<TimelineEvent[]>;
  close(): void;
}

export interface TimelineOptions {
  /** Where `flights.parquet` and `arrivals.parquet` lie. */
  readonly dataFolder: string;
  /** One flight in this many is predicted. All arrivals are appended, whatever it is. */
  readonly predictOneIn: number;
  /** Flights that pushed back before are not predicted, so they have no label. */
  readonly predictFromUs: number;
}

const kinds = ["departure", "arrival", "label"] as const;

/**
 * The order of events that the world had, read from the Parquet files. At one moment departures come first: an arrival at
 * the very moment of a push-back is not known yet.
 */
export const openTimeline = async ({ dataFolder, predictOneIn, predictFromUs }: TimelineOptions): Promise<Timeline> => {
  const instance = await DuckDBInstance.create(":memory:", { autoinstall_known_extensions: "false", threads: "1" });
  const connection = await instance.connect();
  const file = (name: string): string => `read_parquet('${join(dataFolder, name).replaceAll("'", "''")}')`;
  const predicted = `flight % ${predictOneIn} = 0 AND departed_at >= make_timestamp(${predictFromUs})`;
  return {
    async events(fromUs, toUs) {
      const during = (column: string): string =>
        `${column} >= make_timestamp(${fromUs}) AND ${column} < make_timestamp(${toUs})`;
      const reader = await connection.runAndReadAll(`
        SELECT kind, CAST(epoch_us(moment) AS DOUBLE), airport, CAST(flight AS DOUBLE), CAST(number AS DOUBLE) FROM (
          SELECT 0 AS kind, departed_at AS moment, origin AS airport, flight, distance AS number
          FROM ${file("flights.parquet")} WHERE ${predicted} AND ${during("departed_at")}
          UNION ALL
          SELECT 1, arrived_at, airport, flight, delay FROM ${file("arrivals.parquet")} WHERE ${during("arrived_at")}
          UNION ALL
          SELECT 2, arrived_at, origin, flight, delay
          FROM ${file("flights.parquet")} WHERE ${predicted} AND ${during("arrived_at")}
        ) ORDER BY moment, kind, flight`);
      return reader.getRows().map((row): TimelineEvent => {
        const [kind, atUs, airport, flight, number] = row as [number, number, string, number, number];
        const base = { atUs, airport, flight };
        switch (kinds[kind]) {
          case "departure":
            return { kind: "departure", ...base, distance: number };
          case "arrival":
            return { kind: "arrival", ...base, delay: number };
          default:
            return { kind: "label", ...base, late: number > 15 };
        }
      });
    },
    close() {
      connection.closeSync();
      instance.closeSync();
    },
  };
};
