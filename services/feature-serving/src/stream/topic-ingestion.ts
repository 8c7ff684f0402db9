import type { Consumer, EventLog, LogPosition, RecordBatch } from "@millrace/event-log";
import type { CompiledSource } from "@millrace/feature-definition";
import {
  originOf,
  type SchemaRegistry,
  SourceRecordReader,
  type ViewStream,
} from "@millrace/feature-definition/stream";
import type { Kv } from "@millrace/kv";
import { type RejectedRecord, writeDeadLetters } from "../dead-letters/write-dead-letters.ts";
import type { Tombstones } from "../erasure/tombstones.ts";
import { readMaterializations } from "../materialize/materialization-store.ts";
import type { AppliedPartition } from "./applied-partition.ts";
import { foldRows, IncarnationChangedError } from "./fold-rows.ts";
import { allRows, type RowsByKey, ViewRouter } from "./group-by-row.ts";
import type { IngestionCounts } from "./ingestion-counts.ts";
import { OffsetWentBackError } from "./offset-went-back-error.ts";
import { addCheckpoint, emptyProgress, type PartitionProgress, type ProgressStore, rewind } from "./progress.ts";
import { routeRecords, type SourceRouting } from "./route-records.ts";

/** A source of the topic with the views that read it. */
export interface SourceStreams {
  readonly source: CompiledSource;
  readonly streams: readonly ViewStream[];
  /** Whether its refusals go to the dead letters: not those of a source as an older version declared it. */
  readonly tellsRefusals: boolean;
}

export interface TopicIngestionOptions {
  readonly topic: string;
  readonly group: string;
  readonly partitions: number;
  readonly rewindMs: number;
  readonly log: EventLog;
  readonly schemas: SchemaRegistry;
  readonly tombstones: Tombstones;
  readonly online: Kv;
  readonly progress: ProgressStore;
  readonly counts: IngestionCounts;
  /** Told of the positions of partitions as soon as their rows are written. */
  readonly onApplied: (applied: readonly AppliedPartition[]) => void;
}

interface Waiting {
  readonly batch: RecordBatch;
  /** How often the partition had been sent back when the batch came. */
  readonly seeks: number;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

interface OwnedPartition {
  progress: PartitionProgress;
  /** The next offset that the consumer brings. */
  next: number;
  seeks: number;
  committed: number;
}

/**
 * Applies one topic to the online rows. The steps of a round, over all batches that are waiting (one when traffic is
 * light, many partitions' under load; there is no timer):
 *
 *   records ─ read ─▶ events ─ route by view and key ─▶ rows ─ fold, compare-and-set ─▶ progress ─▶ commit
 *                └─▶ dead letters
 *
 * What always holds: a view's position in a partition is where its rows stand, never ahead of them; an event at or after
 * the position is folded in offset order; and the group's commit follows the position. Replay is free, since each row
 * knows what it has. A view that is new begins at the first offset, and the consumer goes back for it.
 */
export class TopicIngestion {
  readonly #options: TopicIngestionOptions;
  readonly #owned = new Map<number, OwnedPartition>();
  #sources: readonly SourceRouting[] = [];
  #epoch = "";
  #origin = 0;
  #incarnation = "";
  #consumer: Consumer | undefined;
  #cuts: ReadonlyMap<string, number> = new Map();
  #waiting: Waiting[] = [];
  #turn: Promise<void> = Promise.resolve();

  constructor(options: TopicIngestionOptions) {
    this.#options = options;
  }

  /** Joins the group. Rejections of the log reject here, or later `stopped`. */
  async start(sources: readonly SourceStreams[]): Promise<Consumer> {
    const { log, topic, group, partitions, online } = this.#options;
    this.#setSources(sources);
    this.#incarnation = await online.incarnation();
    const info = await log.ensureTopic(topic, partitions);
    this.#epoch = info.epoch;
    this.#origin = originOf(info.epoch);
    this.#consumer = await log.consume({
      topics: [topic],
      group: `${group}.${topic}`,
      maxWaitMs: 20,
      maxBatchRecords: 5000,
      handler: {
        onAssigned: (_topic, assigned) => this.#inTurn(() => this.#assign(assigned)),
        onRevoked: (_topic, revoked) =>
          this.#inTurn(async () => {
            await this.#commit(true);
            for (const partition of revoked) this.#owned.delete(partition);
          }),
        onBatch: (batch) => this.#onBatch(batch),
      },
    });
    return this.#consumer;
  }

  /** Takes other definitions: views that are new are filled from the first offset. */
  async reconfigure(sources: readonly SourceStreams[]): Promise<void> {
    await this.#inTurn(async () => {
      this.#setSources(sources);
      await this.#readCuts();
      const firsts = await this.#firstOffsets();
      for (const [partition, owned] of this.#owned) {
        const start = this.#startOf(owned.progress, firsts.get(partition) ?? 0);
        if (start < owned.next) this.#seek(partition, owned, start);
      }
      await this.#writeProgress([...this.#owned.keys()]);
      this.#options.onApplied(this.#applied([...this.#owned.keys()]));
    });
  }

  /** Looks where materialized history ends and the stream of each view begins, and says so in the progress. */
  async refreshCuts(): Promise<void> {
    await this.#inTurn(async () => {
      if (!(await this.#readCuts())) return;
      for (const owned of this.#owned.values()) owned.progress.cuts = Object.fromEntries(this.#cuts);
      await this.#writeProgress([...this.#owned.keys()]);
    });
  }

  /** Says in the progress that the tombstones of this version are obeyed: the round at hand, which may not, is over. */
  async takeErasures(version: number): Promise<void> {
    await this.#inTurn(async () => {
      for (const owned of this.#owned.values()) owned.progress.erasures = version;
      await this.#writeProgress([...this.#owned.keys()]);
    });
  }

  /** Finishes the round at hand, commits and leaves the group. */
  async close(): Promise<void> {
    await this.#inTurn(() => this.#commit(true));
    await this.#consumer?.close();
  }

  #setSources(sources: readonly SourceStreams[]): void {
    this.#sources = sources.map(({ source, streams, tellsRefusals }) => ({
      tellsRefusals,
      source: source.name,
      reader: new SourceRecordReader(source),
      routers: streams.map((stream) => new ViewRouter(stream, this.#options.tombstones)),
    }));
  }

  /** Answers whether they changed. */
  async #readCuts(): Promise<boolean> {
    const ids = this.#sources.flatMap(({ routers }) => routers.map(({ id }) => id));
    const held = await readMaterializations(this.#options.online, ids);
    const cuts = new Map<string, number>();
    ids.forEach((id, index) => {
      const cutUs = held[index]?.materialization?.cutUs;
      if (cutUs !== undefined) cuts.set(id, cutUs);
    });
    const isChanged = cuts.size !== this.#cuts.size || [...cuts].some(([id, cutUs]) => this.#cuts.get(id) !== cutUs);
    this.#cuts = cuts;
    return isChanged;
  }

  async #assign(partitions: readonly number[]): Promise<LogPosition[]> {
    const { topic, log, online, progress, rewindMs } = this.#options;
    this.#incarnation = await online.incarnation();
    const info = await log.topic(topic);
    this.#epoch = info.epoch;
    this.#origin = originOf(info.epoch);
    await this.#readCuts();
    const held = await progress.read(topic, partitions);
    const firsts = await this.#firstOffsets();
    return partitions.map((partition, index): LogPosition => {
      const found = held[index];
      const isKnown = found !== undefined && found.epoch === this.#epoch;
      const owned = isKnown ? found : emptyProgress(this.#epoch, this.#incarnation);
      if (owned.incarnation !== this.#incarnation) rewind(owned, Date.now(), rewindMs);
      owned.incarnation = this.#incarnation;
      owned.cuts = Object.fromEntries(this.#cuts);
      owned.erasures = this.#options.tombstones.version;
      const next = this.#startOf(owned, firsts.get(partition) ?? 0);
      this.#owned.set(partition, { progress: owned, next, seeks: 0, committed: next });
      return { partition, offset: BigInt(next) };
    });
  }

  /** Where reading has to begin so that every view gets what it lacks; views that are unknown begin at the first offset. */
  #startOf(progress: PartitionProgress, first: number): number {
    let start = Number.POSITIVE_INFINITY;
    const ids = this.#sources.flatMap(({ routers }) => routers.map(({ id }) => id));
    for (const id of ids) {
      const position = Math.max(progress.positions[id] ?? first, first);
      progress.positions[id] = position;
      start = Math.min(start, position);
    }
    for (const id of Object.keys(progress.positions)) if (!ids.includes(id)) delete progress.positions[id];
    return Number.isFinite(start) ? start : first;
  }

  #onBatch(batch: RecordBatch): Promise<void> {
    return new Promise((resolve, reject) => {
      const seeks = this.#owned.get(batch.partition)?.seeks ?? 0;
      this.#waiting.push({ batch, seeks, resolve, reject });
      if (this.#waiting.length === 1) void this.#inTurn(() => this.#round());
    });
  }

  async #round(): Promise<void> {
    const taken = this.#waiting;
    this.#waiting = [];
    try {
      const current = taken.filter(({ batch, seeks }) => this.#owned.get(batch.partition)?.seeks === seeks);
      await this.#apply(current.map(({ batch }) => batch));
      for (const { resolve } of taken) resolve();
    } catch (error) {
      for (const { reject } of taken) reject(error);
    }
  }

  async #apply(batches: readonly RecordBatch[]): Promise<void> {
    const { online, log, topic, schemas, counts, rewindMs, onApplied } = this.#options;
    const rows: RowsByKey = new Map();
    const rejected: RejectedRecord[] = [];
    const newest = new Map<OwnedPartition, ReadonlyMap<string, number>>();
    for (const batch of batches) {
      const owned = this.#owned.get(batch.partition);
      if (owned === undefined) continue;
      const first = batch.records[0];
      if (first !== undefined && Number(first.offset) < owned.next) {
        throw new OffsetWentBackError(topic, batch.partition, owned.next, Number(first.offset));
      }
      const values = batch.records.map(({ value }) => value);
      for (const { reader } of this.#sources) await reader.prepare(values, schemas);
      const context = { origin: this.#origin, progress: owned.progress, cuts: this.#cuts };
      const routed = routeRecords(batch.records, this.#sources, context, rows);
      rejected.push(...routed.rejected);
      newest.set(owned, routed.newestEventUs);
    }
    try {
      const result = await foldRows(online, this.#incarnation, allRows(rows));
      counts.rowsWritten += result.rowsWritten;
      counts.refused += result.refused;
    } catch (error) {
      if (!(error instanceof IncarnationChangedError)) throw error;
      await this.#goBack(error.incarnation);
      return;
    }
    await writeDeadLetters(log, topic, this.#epoch, rejected);
    for (const { rejection } of rejected) counts.deadLetter(topic, rejection.reason);
    for (const batch of batches) {
      const owned = this.#owned.get(batch.partition);
      const last = batch.records.at(-1);
      if (owned === undefined || last === undefined) continue;
      const end = Number(last.offset) + 1;
      for (const [id, position] of Object.entries(owned.progress.positions)) {
        if (position < end) owned.progress.positions[id] = end;
      }
      for (const [id, timeUs] of newest.get(owned) ?? []) {
        owned.progress.newestEventUs[id] = Math.max(owned.progress.newestEventUs[id] ?? timeUs, timeUs);
        counts.newest(id, timeUs);
      }
      owned.progress.judged = Math.max(owned.progress.judged, end);
      addCheckpoint(owned.progress, owned.next, Date.now(), rewindMs);
      owned.next = end;
      counts.events += batch.records.length;
      counts.lag(topic, batch.partition, Number(batch.endOffset) - end);
    }
    const partitions = batches.map(({ partition }) => partition);
    onApplied(this.#applied(partitions));
    await this.#writeProgress(partitions);
    await this.#commit(false);
  }

  #applied(partitions: readonly number[]): AppliedPartition[] {
    const { topic } = this.#options;
    return partitions.flatMap((partition) => {
      const positions = this.#owned.get(partition)?.progress.positions;
      return positions === undefined ? [] : [{ topic, epoch: this.#epoch, partition, positions: { ...positions } }];
    });
  }

  async #writeProgress(partitions: readonly number[]): Promise<void> {
    const { progress, topic } = this.#options;
    await Promise.all(
      partitions.map((partition) => {
        const owned = this.#owned.get(partition);
        return owned === undefined ? undefined : progress.write(topic, partition, owned.progress);
      }),
    );
  }

  /** The store may have lost its last writes: every partition goes back by the rewind. */
  async #goBack(incarnation: string): Promise<void> {
    const { rewindMs, counts } = this.#options;
    this.#incarnation = incarnation;
    counts.rewinds++;
    const firsts = await this.#firstOffsets();
    for (const [partition, owned] of this.#owned) {
      rewind(owned.progress, Date.now(), rewindMs);
      owned.progress.incarnation = incarnation;
      this.#seek(partition, owned, this.#startOf(owned.progress, firsts.get(partition) ?? 0));
    }
  }

  #seek(partition: number, owned: OwnedPartition, offset: number): void {
    owned.seeks++;
    owned.next = offset;
    this.#consumer?.seek(this.#options.topic, { partition, offset: BigInt(offset) });
  }

  async #firstOffsets(): Promise<Map<number, number>> {
    const bounds = await this.#options.log.bounds(this.#options.topic);
    return new Map(bounds.map(({ partition, first }) => [partition, Number(first)]));
  }

  /** Tells the group how far its partitions are; unless forced, only when that is a good way further. */
  async #commit(isForced: boolean): Promise<void> {
    const positions: LogPosition[] = [];
    for (const [partition, owned] of this.#owned) {
      if (owned.next <= owned.committed || (!isForced && owned.next - owned.committed < 1000)) continue;
      owned.committed = owned.next;
      positions.push({ partition, offset: BigInt(owned.next) });
    }
    if (positions.length > 0) await this.#consumer?.commit(this.#options.topic, positions);
  }

  /** One thing at a time: rounds, assignments and other definitions never overlap. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(work);
    this.#turn = done.then(
      () => undefined,
      () => undefined,
    );
    return done;
  }
}
