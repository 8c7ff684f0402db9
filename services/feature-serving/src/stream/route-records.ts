import type { LogRecord } from "@millrace/event-log";
import type { SourceEvent, SourceRecordReader } from "@millrace/feature-definition/stream";
import type { RejectedRecord } from "../dead-letters/write-dead-letters.ts";
import type { RowsByKey, ViewRouter } from "./group-by-row.ts";
import type { PartitionProgress } from "./progress.ts";

/** How the records of one source are read, and which views they go to. */
export interface SourceRouting {
  /** The source's name. */
  readonly source: string;
  readonly reader: SourceRecordReader;
  readonly routers: readonly ViewRouter[];
  readonly tellsRefusals: boolean;
}

export interface RoutingContext {
  /** The topic's life: see `originOf`. */
  readonly origin: number;
  /** Positions say what each view still lacks; the oldest creation time of each view is kept up to date. */
  readonly progress: PartitionProgress;
  /** By `view@version`: facts that became known before belong to materialized history. */
  readonly cuts: ReadonlyMap<string, number>;
}

export interface RoutedRecords {
  readonly rejected: RejectedRecord[];
  /** By `view@version`. */
  readonly newestEventUs: Map<string, number>;
}

/** Reads records of one partition and puts each to the rows that it counts in. What was judged before is not told again. */
export function routeRecords(
  records: readonly LogRecord[],
  sources: readonly SourceRouting[],
  { origin, progress, cuts }: RoutingContext,
  rows: RowsByKey,
): RoutedRecords {
  const rejected: RejectedRecord[] = [];
  const newestEventUs = new Map<string, number>();
  for (const record of records) {
    const offset = Number(record.offset);
    const isNew = offset >= progress.judged;
    for (const { source, reader, routers, tellsRefusals } of sources) {
      const read = reader.read(record.value, record.timestampMs * 1000);
      if (read === undefined) continue;
      if ("reason" in read) {
        if (isNew && tellsRefusals) rejected.push({ source, record, rejection: read });
        continue;
      }
      const event: SourceEvent = { ...read, partition: record.partition, offset, origin };
      let hasKey = routers.length === 0;
      for (const router of routers) {
        if (!router.hasKey(event)) continue;
        hasKey = true;
        const { id } = router;
        if (offset < (progress.positions[id] ?? 0)) continue;
        if (event.createdAtUs < (cuts.get(id) ?? Number.NEGATIVE_INFINITY)) continue;
        router.route(event, rows);
        newestEventUs.set(id, Math.max(newestEventUs.get(id) ?? event.eventTimeUs, event.eventTimeUs));
        progress.oldestCreatedUs[id] = Math.min(progress.oldestCreatedUs[id] ?? event.createdAtUs, event.createdAtUs);
      }
      if (!hasKey && isNew && tellsRefusals) {
        rejected.push({
          source,
          record,
          rejection: { reason: "KEY_NULL", detail: "no view's entity key has a value" },
        });
      }
    }
  }
  return { rejected, newestEventUs };
}
