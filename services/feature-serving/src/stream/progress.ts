import type { Kv } from "@millrace/kv";

/** How far one partition of a topic is applied, by view version. Kept beside the rows, so that it is lost with them. */
export interface PartitionProgress {
  /** The life of the topic that the offsets belong to. */
  epoch: string;
  /** The life of the store that took the writes. */
  incarnation: string;
  /** Next offset to be applied, by `view@version`. */
  positions: Record<string, number>;
  /** Next offset whose refusals still have to be told. */
  judged: number;
  /** Event time of the newest applied event, in microseconds, by `view@version`. */
  newestEventUs: Record<string, number>;
  /** Creation time of the oldest applied event, in microseconds, by `view@version`. */
  oldestCreatedUs: Record<string, number>;
  /** The cuts that the worker obeys, by `view@version`: see Materialization. */
  cuts: Record<string, number>;
  /** The version of the tombstones that everything from here on obeys; absent in progress of before there were any. */
  erasures?: number;
  /** Where the partition stood at some times of the worker's clock, oldest first: where to go back to. */
  checkpoints: { readonly atMs: number; readonly offset: number }[];
}

export function emptyProgress(epoch: string, incarnation: string): PartitionProgress {
  return {
    epoch,
    incarnation,
    positions: {},
    judged: 0,
    newestEventUs: {},
    oldestCreatedUs: {},
    cuts: {},
    checkpoints: [],
  };
}

/** How many checkpoints a rewind is divided into. */
const checkpointsPerRewind = 6;

/** Remembers where the partition stands, now and then, for as long as a rewind may need it. */
export function addCheckpoint(progress: PartitionProgress, offset: number, nowMs: number, rewindMs: number): void {
  const { checkpoints } = progress;
  const last = checkpoints.at(-1);
  if (last !== undefined && nowMs - last.atMs < rewindMs / checkpointsPerRewind) return;
  checkpoints.push({ atMs: nowMs, offset });
  while ((checkpoints[1]?.atMs ?? nowMs) <= nowMs - rewindMs) checkpoints.shift();
}

/**
 * Sends every view of a partition back to where it stood `rewindMs` ago, or to the beginning where that is not known:
 * the clock of the worker counts, since records may carry any time.
 */
export function rewind(progress: PartitionProgress, nowMs: number, rewindMs: number): void {
  const held = progress.checkpoints.findLast(({ atMs }) => atMs <= nowMs - rewindMs);
  const offset = held?.offset ?? 0;
  for (const [id, position] of Object.entries(progress.positions)) {
    progress.positions[id] = Math.min(position, offset);
  }
  progress.checkpoints = progress.checkpoints.filter(({ offset: known }) => known <= offset);
}

const utf8 = new TextEncoder();
const text = new TextDecoder();

/** The progress of the stream workers of a group, in the store of the rows: one entry a partition of a topic. */
export class ProgressStore {
  readonly #online: Kv;
  readonly #group: string;

  constructor(online: Kv, group: string) {
    this.#online = online;
    this.#group = group;
  }

  /** Slot i is partition i; undefined where nothing was applied yet. */
  async read(topic: string, partitions: readonly number[]): Promise<(PartitionProgress | undefined)[]> {
    const entries = await this.#online.getMany(partitions.map((partition) => this.#key(topic, partition)));
    return entries.map((entry) => (entry === undefined ? undefined : parseProgress(entry)));
  }

  /**
   * Writes the progress of a partition. Where another worker wrote in the meantime, the further of both counts, view by
   * view: rows hold what either of them applied. Progress of another life of the topic or store is replaced.
   */
  async write(topic: string, partition: number, progress: PartitionProgress): Promise<void> {
    const key = this.#key(topic, partition);
    for (;;) {
      const [entry] = await this.#online.getManyVersioned([key]);
      const held = entry === undefined ? undefined : parseProgress(entry.value);
      const value = utf8.encode(JSON.stringify(further(progress, held)));
      const [isApplied] = await this.#online.compareAndSetMany([{ key, expectedVersion: entry?.version ?? 0, value }]);
      if (isApplied === true) return;
    }
  }

  #key(topic: string, partition: number): Uint8Array {
    return utf8.encode(`progress/${this.#group}/${topic}/${partition}`);
  }
}

function parseProgress(bytes: Uint8Array): PartitionProgress {
  const parsed: PartitionProgress = JSON.parse(text.decode(bytes));
  return parsed;
}

function further(ours: PartitionProgress, held: PartitionProgress | undefined): PartitionProgress {
  if (held === undefined || held.epoch !== ours.epoch || held.incarnation !== ours.incarnation) return ours;
  const positions = { ...ours.positions };
  const newestEventUs = { ...ours.newestEventUs };
  for (const id of Object.keys(positions)) {
    positions[id] = Math.max(positions[id] ?? 0, held.positions[id] ?? 0);
  }
  for (const id of Object.keys(newestEventUs)) {
    newestEventUs[id] = Math.max(newestEventUs[id] ?? 0, held.newestEventUs[id] ?? Number.NEGATIVE_INFINITY);
  }
  const oldestCreatedUs = { ...held.oldestCreatedUs, ...ours.oldestCreatedUs };
  for (const [id, timeUs] of Object.entries(held.oldestCreatedUs)) {
    oldestCreatedUs[id] = Math.min(oldestCreatedUs[id] ?? timeUs, timeUs);
  }
  return { ...ours, positions, newestEventUs, oldestCreatedUs, judged: Math.max(ours.judged, held.judged) };
}
