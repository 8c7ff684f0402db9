import { type Durability, type LmdbFolder, openLmdbFolder } from "@millrace/lmdb-folder";
import type {
  ConsumeOptions,
  Consumer,
  EventLog,
  LogPosition,
  NewRecord,
  RecordBatch,
  TopicInfo,
} from "../event-log.ts";
import { LogUnavailableError } from "../log-unavailable-error.ts";
import { partitionOfKey } from "../murmur2.ts";
import { OffsetOutOfRangeError } from "../offset-out-of-range-error.ts";
import { requireRecords } from "../require-records.ts";
import { AppendQueue } from "./append-queue.ts";
import { EmbeddedConsumer } from "./embedded-consumer.ts";
import { GroupTable } from "./group-table.ts";
import { type LogTables, openLogTables } from "./log-tables.ts";
import { PartitionReader } from "./partition-reader.ts";
import { type EncodedRecord, encodeRecord } from "./record-batch-codec.ts";
import { removeDeletedTopics, removeOlderThan } from "./retention.ts";
import { type StoredTopic, TopicCatalogue } from "./topic-catalogue.ts";
import { Wake } from "./wake.ts";

export interface EmbeddedLogOptions {
  /** What an acknowledged append outlives. Default `disk`. */
  readonly durability?: Durability;
  /** Batches whose records are all older than this may go. Default: none goes. */
  readonly retentionMs?: number;
  /** How often is looked for what may go, in ms. Default 30,000. */
  readonly sweepEveryMs?: number;
  readonly now?: () => number;
}

const defaultSweepEveryMs = 30_000;
const readRecords = 1000;

const publicInfo = ({ name, partitions, epoch }: StoredTopic): TopicInfo => ({ name, partitions, epoch });

/** The event log in a folder of this machine. Several processes may have it open at once. */
class EmbeddedLog implements EventLog {
  readonly #folder: LmdbFolder;
  readonly #tables: LogTables;
  readonly #catalogue: TopicCatalogue;
  readonly #reader: PartitionReader;
  readonly #wake: Wake;
  readonly #options: EmbeddedLogOptions;
  readonly #now: () => number;
  readonly #queues = new Map<string, AppendQueue>();
  readonly #consumers = new Set<EmbeddedConsumer>();
  readonly #sweepTimer: NodeJS.Timeout;
  #sweepUnderWay: Promise<void> = Promise.resolve();
  #underWay = 0;
  #idle: (() => void) | undefined;
  #turn = 0;
  #closed: Promise<void> | undefined;

  constructor(folder: LmdbFolder, options: EmbeddedLogOptions) {
    this.#folder = folder;
    this.#tables = openLogTables(folder);
    this.#catalogue = new TopicCatalogue(this.#tables);
    this.#reader = new PartitionReader(this.#tables, this.#catalogue);
    this.#wake = new Wake(folder.path);
    this.#options = options;
    this.#now = options.now ?? Date.now;
    this.#sweepTimer = setInterval(() => this.#startSweep(), options.sweepEveryMs ?? defaultSweepEveryMs);
    this.#sweepTimer.unref();
  }

  #requireOpen(): void {
    if (this.#closed !== undefined) throw new LogUnavailableError(`${this.#folder.path} was closed`);
    this.#tables.topics.resetReadTxn();
  }

  async #write<T>(work: () => Promise<T>): Promise<T> {
    this.#requireOpen();
    this.#underWay++;
    try {
      return await work();
    } finally {
      if (--this.#underWay === 0) this.#idle?.();
    }
  }

  async ensureTopic(topic: string, partitions: number): Promise<TopicInfo> {
    return this.#write(async () => publicInfo(await this.#catalogue.ensure(topic, partitions)));
  }

  async topic(topic: string): Promise<TopicInfo> {
    this.#requireOpen();
    return publicInfo(this.#catalogue.require(topic));
  }

  async deleteTopic(topic: string): Promise<void> {
    await this.#write(async () => {
      await this.#catalogue.delete(topic);
      await removeDeletedTopics(this.#tables, this.#catalogue);
    });
  }

  async append(
    topic: string,
    records: readonly NewRecord[],
  ): Promise<{ readonly partition: number; readonly offset: bigint }[]> {
    return this.#write(async () => {
      const stored = this.#catalogue.require(topic);
      requireRecords(records, stored.partitions);
      const nowMs = this.#now();
      const keyless = this.#turn++ % stored.partitions;
      const chosen = records.map(
        ({ partition, key }) => partition ?? (key === undefined ? keyless : partitionOfKey(key, stored.partitions)),
      );
      const byPartition = new Map<number, EncodedRecord[]>();
      for (let i = 0; i < records.length; i++) {
        const partition = chosen[i] ?? 0;
        const ofPartition = byPartition.get(partition);
        const encoded = encodeRecord(records[i] as NewRecord, nowMs);
        if (ofPartition === undefined) byPartition.set(partition, [encoded]);
        else ofPartition.push(encoded);
      }
      const next = new Map<number, bigint>();
      const commits = [...byPartition].map(async ([partition, encoded]) => {
        next.set(partition, await this.#queue(stored, partition).append(encoded));
      });
      // All settle before one failure is told, so that the caller knows that nothing is under way any more.
      const failed = (await Promise.allSettled(commits)).find((result) => result.status === "rejected");
      if (failed !== undefined) throw failed.reason;
      return chosen.map((partition) => {
        const offset = next.get(partition) ?? 0n;
        next.set(partition, offset + 1n);
        return { partition, offset };
      });
    });
  }

  #queue(topic: StoredTopic, partition: number): AppendQueue {
    const name = `${topic.id}/${partition}`;
    let queue = this.#queues.get(name);
    if (queue === undefined) {
      queue = new AppendQueue(topic, partition, this.#tables, this.#catalogue, (of) => this.#wake.notify(of));
      this.#queues.set(name, queue);
    }
    return queue;
  }

  async bounds(topic: string): Promise<{ readonly partition: number; readonly first: bigint; readonly end: bigint }[]> {
    this.#requireOpen();
    const stored = this.#catalogue.require(topic);
    return Array.from({ length: stored.partitions }, (_, partition) => {
      const { first, end } = this.#catalogue.state(stored, partition);
      return { partition, first, end };
    });
  }

  async offsetsAt(topic: string, timestampMs: number): Promise<LogPosition[]> {
    this.#requireOpen();
    const stored = this.#catalogue.require(topic);
    return Array.from({ length: stored.partitions }, (_, partition) => ({
      partition,
      offset: this.#reader.offsetAt(stored, partition, timestampMs),
    }));
  }

  async *read(topic: string, from: LogPosition, signal?: AbortSignal): AsyncIterable<RecordBatch> {
    this.#requireOpen();
    const stored = this.#catalogue.require(topic);
    requireRecords([{ value: null, partition: from.partition }], stored.partitions);
    const { first, end } = this.#catalogue.state(stored, from.partition);
    if (from.offset < first || from.offset > end) {
      throw new OffsetOutOfRangeError(topic, from.partition, from.offset, first, end);
    }
    for (let next = from.offset; next < end; ) {
      signal?.throwIfAborted();
      this.#requireOpen();
      const limit = end - next < BigInt(readRecords) ? Number(end - next) : readRecords;
      const batch = this.#reader.read(stored, from.partition, next, limit);
      const last = batch.records.at(-1);
      if (last === undefined) throw new OffsetOutOfRangeError(topic, from.partition, next, batch.first, batch.end);
      next = last.offset + 1n;
      yield { topic, partition: from.partition, records: batch.records, endOffset: batch.end };
    }
  }

  async consume(options: ConsumeOptions): Promise<Consumer> {
    this.#requireOpen();
    for (const topic of options.topics) this.#catalogue.require(topic);
    const consumer = new EmbeddedConsumer({
      options,
      group: new GroupTable(this.#tables, this.#catalogue, options.group, this.#now),
      reader: this.#reader,
      wake: this.#wake,
      ended: (ended) => this.#consumers.delete(ended),
    });
    this.#consumers.add(consumer);
    await consumer.joined;
    return consumer;
  }

  async committed(topic: string, group: string): Promise<LogPosition[]> {
    this.#requireOpen();
    const stored = this.#catalogue.require(topic);
    return new GroupTable(this.#tables, this.#catalogue, group, this.#now).committed(stored);
  }

  #startSweep(): void {
    this.#sweepUnderWay = this.#sweep().catch(() => {
      // A full disk also fails the next append, which has someone to tell. The next sweep tries again.
    });
  }

  async #sweep(): Promise<void> {
    this.#folder.freeDeadReaders();
    this.#tables.topics.resetReadTxn();
    await removeDeletedTopics(this.#tables, this.#catalogue);
    const { retentionMs } = this.#options;
    if (retentionMs === undefined) return;
    for (const topic of this.#catalogue.all()) {
      await removeOlderThan(this.#tables, this.#catalogue, topic, this.#now() - retentionMs);
    }
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    clearInterval(this.#sweepTimer);
    await Promise.all([...this.#consumers].map((consumer) => consumer.close()));
    await this.#sweepUnderWay;
    if (this.#underWay > 0) {
      await new Promise<void>((resolve) => {
        this.#idle = resolve;
      });
    }
    this.#wake.close();
    await this.#folder.close();
  }
}

/**
 * Opens the log in a folder, which is made where it is missing.
 * @throws FolderUnusableError where the folder cannot be made, read or written, or holds something else.
 */
export const openEmbeddedLog = async (path: string, options: EmbeddedLogOptions = {}): Promise<EventLog> =>
  new EmbeddedLog(openLmdbFolder(path, { maxTables: 4, durability: options.durability ?? "disk" }), options);
