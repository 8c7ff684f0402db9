import { createHash } from "node:crypto";
import { MillraceError, Reason } from "@millrace/errors";
import type { EventLog } from "@millrace/event-log";
import type { CompiledView } from "@millrace/feature-definition";
import { BatchRows, type DataLocation } from "@millrace/feature-definition/duckdb";
import {
  createViewStream,
  originOf,
  type SourceEvent,
  SourceRecordReader,
  tailOf,
} from "@millrace/feature-definition/stream";
import type { Kv } from "@millrace/kv";
import type { Tombstones } from "../erasure/tombstones.ts";
import { foldRows } from "../stream/fold-rows.ts";
import { allRows, type RowsByKey, ViewRouter } from "../stream/group-by-row.ts";
import type { ProgressStore } from "../stream/progress.ts";
import { recordBackfillSpeed } from "./backfill-speed.ts";
import { type Materialization, type MaterializationRun, updateMaterialization } from "./materialization-store.ts";
import { whenCutIsKnown } from "./when-cut-is-known.ts";

/** Thrown when history is asked for that overlaps with what was loaded before, in another way. */
export class MaterializationOverlapError extends MillraceError {
  constructor(view: string, held: MaterializationRun, detail: string) {
    const range = `${held.fromUs ?? "the beginning"} to ${held.toUs ?? "the end"}`;
    super(
      "FAILED_PRECONDITION",
      Reason.CONFLICT,
      `${view} was materialized from ${range} before, and ${detail}: loading it again would count facts twice. Ask for the same range, or for one beside it.`,
      { resource: { kind: "feature view", name: view } },
    );
  }
}

export interface MaterializeOptions {
  readonly view: CompiledView;
  /** Event time, included; undefined: from the beginning. Microseconds. */
  readonly fromUs: number | undefined;
  /** Event time, not included; undefined: all there are. */
  readonly toUs: number | undefined;
  readonly online: Kv;
  readonly log: EventLog;
  readonly progress: ProgressStore;
  readonly tombstones: Tombstones;
  readonly batchData: DataLocation;
  /** For a topic that does not exist yet. */
  readonly topicPartitions: number;
  readonly signal?: AbortSignal;
}

export interface MaterializeProgress {
  readonly rows: number;
  readonly totalRows: number;
  readonly keys: number;
  readonly done: boolean;
}

/** Rows that are folded at once. */
const batchRows = 20_000;

/**
 * Loads the history of a view from its batch source: the same fold, the same compare-and-set as the stream's. Each row
 * of the data has an ordinal, which the rows' replay guards remember, so that stopping and repeating count nothing twice.
 *
 * Stream and history are cut by creation time, never by event time: history is what became known before the cut, and the
 * stream drops what became known before it. The cut is the least of: the end that was asked for, just after the time up to
 * which the data is complete (its newest fact, unless the source says otherwise), and the oldest fact that the stream has
 * already applied.
 *
 * Where an end is given, facts that no window can reach from there on are not read at all; the rows then answer for no
 * time before the end.
 * @throws SourceDataInvalidError, MaterializationOverlapError
 */
export async function* materializeView(options: MaterializeOptions): AsyncGenerator<MaterializeProgress> {
  const { view, online, batchData, tombstones } = options;
  const viewId = `${view.name}@${view.version}`;
  const times = {
    fromUs: Math.max(options.fromUs ?? Number.NEGATIVE_INFINITY, firstReachable(view, options.toUs)),
    toUs: options.toUs ?? Number.POSITIVE_INFINITY,
  };
  const data = await BatchRows.open(view.source, batchData, times, options.signal);
  try {
    const { rows: totalRows, completeUpToUs } = await data.summary();
    const id = runId(options, data.snapshot);
    const incarnation = await online.incarnation();
    const cutUs = await agreeOnCut(options, viewId, completeUpToUs);
    const begun = await updateMaterialization(online, viewId, (held) =>
      beginRun(view.name, held ?? { cutUs, runs: [] }, options, {
        id,
        totalRows,
        snapshot: data.snapshot,
        incarnation,
      }),
    );
    let run = runOf(begun, id);
    yield run;
    if (run.done) return;
    const router = new ViewRouter(createViewStream(view), tombstones);
    const reader = new SourceRecordReader(view.source);
    const keys = new Set<string>();
    let pending: SourceEvent[] = [];
    let next = run.nextOrdinal;
    const firstOrdinal = next;
    const startedMs = performance.now();
    const flush = async (done: boolean): Promise<MaterializationRun> => {
      const rows: RowsByKey = new Map();
      await tombstones.refresh();
      const erasures = tombstones.version;
      for (const event of pending) router.route(event, rows);
      for (const name of rows.get(router)?.keys() ?? []) keys.add(name);
      await foldRows(online, incarnation, allRows(rows), options.toUs);
      const folded = pending.length;
      pending = [];
      const stored = await updateMaterialization(online, viewId, (held) => {
        const runs = (held?.runs ?? []).map((known) =>
          known.id === id
            ? {
                ...known,
                nextOrdinal: next,
                rows: known.rows + folded,
                keys: Math.max(known.keys, keys.size),
                erasures,
                done,
              }
            : known,
        );
        return { cutUs: held?.cutUs ?? cutUs, runs };
      });
      return runOf(stored, id);
    };
    for await (const chunk of data.read(next)) {
      for (const { ordinal, row } of chunk) {
        next = ordinal + 1;
        const eventTime = row[view.source.fields.findIndex(({ name }) => name === view.source.eventTime)];
        const read = reader.judge(row, typeof eventTime === "bigint" ? Number(eventTime) : Number.NaN);
        if ("reason" in read || read.createdAtUs >= begun.cutUs) continue;
        const event: SourceEvent = { ...read, partition: -1, offset: ordinal, origin: originOf(id) };
        if (router.hasKey(event)) pending.push(event);
      }
      if (pending.length >= batchRows) yield await flush(false);
    }
    run = await flush(true);
    await recordBackfillSpeed(online, next - firstOrdinal, (performance.now() - startedMs) / 1000);
    yield run;
  } finally {
    data.close();
  }
}

/** The earliest event time that matters to any time from `toUs` on. */
function firstReachable(view: CompiledView, toUs: number | undefined): number {
  if (toUs === undefined || view.kind !== "aggregate") return Number.NEGATIVE_INFINITY;
  const windows = view.aggregates.map(({ windowUs, hopUs }) => ({ windowUs: Number(windowUs), hopUs: Number(hopUs) }));
  return tailOf(windows, toUs);
}

/** Writes the cut unless there is one, and makes sure that no worker has applied anything older in the meantime. */
async function agreeOnCut(
  options: MaterializeOptions,
  viewId: string,
  completeUpToUs: number | undefined,
): Promise<number> {
  const { view, online, toUs, log, progress } = options;
  const topic = view.source.stream?.topic;
  if (topic === undefined) return Number.MAX_SAFE_INTEGER;
  await log.ensureTopic(topic, options.topicPartitions);
  for (;;) {
    const wanted = Math.min(
      toUs ?? Number.MAX_SAFE_INTEGER,
      completeUpToUs === undefined ? Number.MAX_SAFE_INTEGER : completeUpToUs + 1,
      await oldestApplied(options, viewId),
    );
    let isFixed = false;
    const { cutUs } = await updateMaterialization(online, viewId, (held) => {
      isFixed = (held?.runs.length ?? 0) > 0;
      return held === undefined || (!isFixed && held.cutUs > wanted) ? { cutUs: wanted, runs: [] } : held;
    });
    await whenCutIsKnown(log, progress, topic, viewId, cutUs);
    if (isFixed || (await oldestApplied(options, viewId)) >= cutUs) return cutUs;
  }
}

/** Creation time of the oldest fact that the stream has applied to the view. */
async function oldestApplied({ view, log, progress }: MaterializeOptions, viewId: string): Promise<number> {
  const topic = view.source.stream?.topic;
  if (topic === undefined) return Number.MAX_SAFE_INTEGER;
  const { partitions } = await log.topic(topic);
  const held = await progress.read(
    topic,
    Array.from({ length: partitions }, (_, partition) => partition),
  );
  return Math.min(...held.map((entry) => entry?.oldestCreatedUs[viewId] ?? Number.MAX_SAFE_INTEGER));
}

/** Finds or begins the run. @throws MaterializationOverlapError */
function beginRun(
  view: string,
  held: Materialization,
  { fromUs, toUs }: MaterializeOptions,
  found: Pick<MaterializationRun, "id" | "totalRows" | "snapshot" | "incarnation">,
): Materialization {
  const known = held.runs.find(({ id }) => id === found.id);
  if (known !== undefined) {
    if (known.incarnation === found.incarnation) return held;
    const again = { ...known, incarnation: found.incarnation, nextOrdinal: 0, rows: 0, done: false };
    return { ...held, runs: held.runs.map((run) => (run === known ? again : run)) };
  }
  for (const run of held.runs) {
    const startsAfter = run.toUs !== null && (fromUs ?? Number.NEGATIVE_INFINITY) >= run.toUs;
    const endsBefore = run.fromUs !== null && (toUs ?? Number.POSITIVE_INFINITY) <= run.fromUs;
    if (startsAfter || endsBefore) continue;
    const isSameRange = run.fromUs === (fromUs ?? null) && run.toUs === (toUs ?? null);
    const detail = isSameRange ? "the data has changed since" : "the ranges overlap";
    throw new MaterializationOverlapError(view, run, detail);
  }
  const run = { ...found, fromUs: fromUs ?? null, toUs: toUs ?? null, nextOrdinal: 0, rows: 0, keys: 0, done: false };
  return { ...held, runs: [...held.runs, run] };
}

function runOf({ runs }: Materialization, id: string): MaterializationRun {
  const run = runs.find((known) => known.id === id);
  if (run === undefined) throw new TypeError(`The run ${id} is not in the store.`);
  return run;
}

function runId({ view, fromUs, toUs }: MaterializeOptions, snapshot: string): string {
  const parts = [view.name, view.version, fromUs ?? "", toUs ?? "", snapshot];
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex").slice(0, 16);
}
