import { startKafka } from "@millrace/backing";
import { ValueType } from "@millrace/contracts/millrace/feature/v1/column";
import { type EventLog, openEventLog } from "@millrace/event-log";
import { type Measured, median } from "../record.ts";
import { startFeatureServer } from "./feature-server.ts";
import { profileRepository } from "./profile-views.ts";

const events = 200_000;
const devices = 10_000;
const batch = 2000;

/** How the devices of events are chosen. */
interface Keys {
  readonly name: string;
  readonly device: (event: number) => number;
}

/**
 * Events that the stream worker applies to three windowed aggregates on Redis, from Kafka and from the embedded log, with
 * devices evenly and by Zipf's law. What counts is events by second of the service's processor time: broker, store and
 * producer have the same two cores.
 */
export const measureIngestion = async (runs: number): Promise<Measured[]> => {
  const rows: Measured[] = [];
  const kafka = await startKafka();
  try {
    for (const keys of [uniform, zipf()]) rows.push(await ingest("Kafka", kafka.url, keys, runs));
  } finally {
    await kafka.remove();
  }
  rows.push(await ingest("the embedded log", undefined, uniform, runs));
  return rows;
};

const uniform: Keys = { name: `uniform over ${devices}`, device: (event) => (event * 7919) % devices };

/** Zipf's law with exponent 1, by a fixed sequence of numbers: the golden ratio's multiples fill the unit interval evenly. */
const zipf = (): Keys => {
  const cumulative: number[] = [];
  let sum = 0;
  for (let rank = 1; rank <= devices; rank++) {
    sum += 1 / rank;
    cumulative.push(sum);
  }
  const device = (event: number): number => {
    const target = ((event * 0.618_033_988_749_895) % 1) * sum;
    let [low, high] = [0, devices - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((cumulative[middle] ?? 0) < target) low = middle + 1;
      else high = middle;
    }
    return low;
  };
  return { name: `by Zipf over ${devices}`, device };
};

const ingest = async (logName: string, logUrl: string | undefined, keys: Keys, runs: number): Promise<Measured> => {
  const features = await startFeatureServer(profileRepository(ValueType.DOUBLE), logUrl);
  try {
    const log = await openEventLog(features.eventLogUrl);
    try {
      const rates: number[] = [];
      const walls: number[] = [];
      for (let run = 0; run < runs; run++) {
        const startedMs = performance.now();
        const before = features.server.cpuSeconds();
        await append(log, keys, run);
        await features.client.awaitApplied({ source: "readings", positions: [] }, { timeoutMs: 300_000 });
        rates.push(events / (features.server.cpuSeconds() - before));
        walls.push(events / ((performance.now() - startedMs) / 1000));
      }
      return {
        what: `stream ingestion from ${logName} into Redis, 3 windowed aggregates, ${keys.name}`,
        ours: median(rates),
        unit: "events by second of processor time",
        runs: rates,
        bar: { of: "figure", atLeast: 30_000 },
        note: `${Math.round(median(walls))} events/s by the clock, producer, broker and Redis on the same cores`,
      };
    } finally {
      await log.close();
    }
  } finally {
    await features.stop();
  }
};

const append = async (log: EventLog, { device }: Keys, run: number): Promise<void> => {
  const text = new TextEncoder();
  const startUs = Date.now() * 1000 - 60_000_000;
  for (let from = 0; from < events; from += batch) {
    const records = Array.from({ length: batch }, (_, index) => {
      const event = run * events + from + index;
      const value = { device: device(event), at: startUs + (from + index) * 10, value: event % 97 };
      return { key: text.encode(String(value.device)), value: text.encode(JSON.stringify(value)) };
    });
    await log.append("readings", records);
  }
};
