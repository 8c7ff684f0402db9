import { LogUnavailableError } from "../log-unavailable-error.ts";
import { batchKey, encodePartitionState, type LogTables, type PartitionState, partitionKey } from "./log-tables.ts";
import { type EncodedRecord, encodeBatch, setGreatestTimestamp } from "./record-batch-codec.ts";
import type { StoredTopic, TopicCatalogue } from "./topic-catalogue.ts";

/*
 * Appends of one partition that come while a commit is under way wait together and go in the next one. A commit is one
 * conditional write, run by LMDB's own thread: "if the partition's state still has the version that I read, write these
 * batches and the new state". So offsets are dense whoever else appends, a killed process leaves all of it or nothing,
 * and no lock is held while JavaScript runs.
 */

const maxBatchBytes = 65_536;
const maxBatchRecords = 1000;
const conflictsBeforeLock = 3;

interface Waiting {
  readonly records: readonly EncodedRecord[];
  readonly resolve: (firstOffset: bigint) => void;
  readonly reject: (error: unknown) => void;
}

interface Batch {
  readonly bytes: Buffer;
  readonly records: number;
  readonly greatestTimestampMs: number;
}

const cut = (records: readonly EncodedRecord[]): Batch[] => {
  const batches: Batch[] = [];
  let from = 0;
  while (from < records.length) {
    let to = from;
    let bytes = 0;
    let greatestTimestampMs = 0;
    for (; to < records.length && to - from < maxBatchRecords; to++) {
      const record = records[to] as EncodedRecord;
      if (to > from && bytes + record.bytes > maxBatchBytes) break;
      bytes += record.bytes;
      if (record.timestampMs > greatestTimestampMs) greatestTimestampMs = record.timestampMs;
    }
    batches.push({ bytes: encodeBatch(records.slice(from, to)), records: to - from, greatestTimestampMs });
    from = to;
  }
  return batches;
};

/** Writes to one partition, in the order of the calls. */
export class AppendQueue {
  readonly #topic: StoredTopic;
  readonly #partition: number;
  readonly #tables: LogTables;
  readonly #catalogue: TopicCatalogue;
  readonly #committed: (topic: string) => void;
  #waiting: Waiting[] = [];
  #running = false;

  constructor(
    topic: StoredTopic,
    partition: number,
    tables: LogTables,
    catalogue: TopicCatalogue,
    committed: (topic: string) => void,
  ) {
    this.#topic = topic;
    this.#partition = partition;
    this.#tables = tables;
    this.#catalogue = catalogue;
    this.#committed = committed;
  }

  /** Resolves with the offset of the first record when all are committed. @throws TopicUnknownError, LogUnavailableError */
  append(records: readonly EncodedRecord[]): Promise<bigint> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ records, resolve, reject });
      if (!this.#running) void this.#run();
    });
  }

  get isIdle(): boolean {
    return !this.#running;
  }

  async #run(): Promise<void> {
    this.#running = true;
    // Lets the appends of this event turn come together.
    await Promise.resolve();
    while (this.#waiting.length > 0) {
      const group = this.#waiting;
      this.#waiting = [];
      try {
        let offset = await this.#commit(cut(group.flatMap(({ records }) => records)));
        this.#committed(this.#topic.name);
        for (const { records, resolve } of group) {
          resolve(offset);
          offset += BigInt(records.length);
        }
      } catch (error) {
        for (const { reject } of group) reject(error);
      }
    }
    this.#running = false;
  }

  async #commit(batches: readonly Batch[]): Promise<bigint> {
    const { partitions } = this.#tables;
    const key = partitionKey(this.#topic.id, this.#partition);
    for (let conflicts = 0; ; conflicts++) {
      partitions.resetReadTxn();
      const state = this.#catalogue.state(this.#topic, this.#partition);
      try {
        if (conflicts >= conflictsBeforeLock) {
          return partitions.transactionSync(() => {
            const current = this.#catalogue.state(this.#topic, this.#partition);
            this.#write(batches, current, current.version);
            return current.end;
          });
        }
        const applied = await partitions.ifVersion(key, state.version, () =>
          this.#write(batches, state, state.version),
        );
        if (applied) return state.end;
      } catch (error) {
        throw error instanceof Error && "reason" in error
          ? error
          : new LogUnavailableError(`appending to ${this.#topic.name}/${this.#partition} failed`, error);
      }
    }
  }

  #write(batches: readonly Batch[], state: PartitionState, version: number): void {
    let { end, greatestTimestampMs } = state;
    for (const batch of batches) {
      greatestTimestampMs = Math.max(greatestTimestampMs, batch.greatestTimestampMs);
      setGreatestTimestamp(batch.bytes, greatestTimestampMs);
      this.#tables.batches.put(batchKey(this.#topic.id, this.#partition, end), batch.bytes, 1);
      end += BigInt(batch.records);
    }
    const next = encodePartitionState({ first: state.first, end, greatestTimestampMs });
    this.#tables.partitions.put(partitionKey(this.#topic.id, this.#partition), next, version + 1);
  }
}
