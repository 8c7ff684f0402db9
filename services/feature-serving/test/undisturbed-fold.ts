import type { EventLog } from "@millrace/event-log";
import type { CompiledRepository, Scalar } from "@millrace/feature-definition";
import { createViewStream, originOf, type SourceEvent, SourceRecordReader } from "@millrace/feature-definition/stream";
import type { Kv } from "@millrace/kv";
import { Tombstones } from "../src/erasure/tombstones.ts";
import { allRows, type RowsByKey, ViewRouter } from "../src/stream/group-by-row.ts";

export interface ComparedRows {
  readonly rows: number;
  /** What differs, for a person. */
  readonly differences: readonly string[];
}

/**
 * Reads a source's topic from its beginning, folds it in one go and without any store, and compares every row of every
 * view with what the online store serves at a time after all events.
 */
export async function compareWithUndisturbedFold(
  repository: CompiledRepository,
  sourceName: string,
  log: EventLog,
  online: Kv,
): Promise<ComparedRows> {
  const source = repository.sources.get(sourceName);
  const topic = source?.stream?.topic;
  if (source === undefined || topic === undefined) throw new Error(`${sourceName} has no topic`);
  const reader = new SourceRecordReader(source);
  const views = [...repository.views.values()].filter((view) => view.source.name === sourceName);
  const routers = views.map((view) => new ViewRouter(createViewStream(view), new Tombstones(undefined)));
  const rows: RowsByKey = new Map();
  const { epoch } = await log.topic(topic);
  let newestUs = 0;
  for (const { partition, first } of await log.bounds(topic)) {
    for await (const batch of log.read(topic, { partition, offset: first })) {
      for (const record of batch.records) {
        const read = reader.read(record.value, record.timestampMs * 1000);
        if (read === undefined || "reason" in read) continue;
        newestUs = Math.max(newestUs, read.eventTimeUs);
        const event: SourceEvent = { ...read, partition, offset: Number(record.offset), origin: originOf(epoch) };
        for (const router of routers) if (router.hasKey(event)) router.route(event, rows);
      }
    }
  }
  const expected = allRows(rows);
  const stored = await online.getMany(expected.map(({ key }) => key));
  const options = { nowUs: newestUs, withExpiredValues: true };
  const differences: string[] = [];
  expected.forEach(({ key, stream, events }, index) => {
    for (const t of [newestUs + 1, newestUs + 3_600_000_000]) {
      const wanted = stream.serve(stream.fold(undefined, events), t, options).values;
      const got = stream.serve(stored[index], t, options).values;
      wanted.forEach((value, feature) => {
        if (isEqual(value, got[feature] ?? null)) return;
        const name = `${Buffer.from(key).toString("latin1")} ${stream.features[feature]?.name}`;
        differences.push(`${name} at ${t}: ${String(got[feature])} where ${String(value)} belongs`);
      });
    }
  });
  return { rows: expected.length, differences };
}

function isEqual(a: Scalar, b: Scalar): boolean {
  if (typeof a === "number" && typeof b === "number") {
    return Object.is(a, b) || Math.abs(a - b) <= 1e-9 * Math.max(1, Math.abs(a), Math.abs(b));
  }
  return a === b;
}
