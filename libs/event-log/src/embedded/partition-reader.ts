import type { LogRecord } from "../event-log.ts";
import { batchKey, type LogTables } from "./log-tables.ts";
import { decodeBatch, greatestTimestamp, recordCount } from "./record-batch-codec.ts";
import type { StoredTopic, TopicCatalogue } from "./topic-catalogue.ts";

const maxReadBytes = 4 * 1024 * 1024;

/** Reads batches of partitions. All reads are of the newest commit of any process. */
export class PartitionReader {
  readonly #tables: LogTables;
  readonly #catalogue: TopicCatalogue;

  constructor(tables: LogTables, catalogue: TopicCatalogue) {
    this.#tables = tables;
    this.#catalogue = catalogue;
  }

  /**
   * Records from an offset on, at most `limit`, and about 4 MiB.
   * @throws TopicUnknownError where the topic was deleted meanwhile.
   */
  read(
    topic: StoredTopic,
    partition: number,
    from: bigint,
    limit: number,
  ): { readonly records: LogRecord[]; readonly first: bigint; readonly end: bigint } {
    this.#tables.batches.resetReadTxn();
    const { first, end } = this.#catalogue.state(topic, partition);
    const records: LogRecord[] = [];
    if (from < first || from >= end) return { records, first, end };
    let bytes = 0;
    let start = this.#keyOfBatchWith(topic, partition, from);
    const after = batchKey(topic.id, partition, end);
    while (start !== undefined && records.length < limit && bytes < maxReadBytes) {
      const [entry] = this.#tables.batches.getRange({ start, end: after, limit: 1 });
      if (entry === undefined) break;
      const base = (entry.key as Buffer).readBigUInt64BE(8);
      bytes += entry.value.length;
      for (const record of decodeBatch(entry.value, partition, base, from, limit - records.length))
        records.push(record);
      start = batchKey(topic.id, partition, base + BigInt(recordCount(entry.value)));
    }
    return { records, first, end };
  }

  #keyOfBatchWith(topic: StoredTopic, partition: number, offset: bigint): Buffer | undefined {
    const range = {
      start: batchKey(topic.id, partition, offset),
      end: batchKey(topic.id, partition, 0n),
      inclusiveEnd: true,
      reverse: true,
      limit: 1,
    };
    for (const key of this.#tables.batches.getKeys(range)) return Buffer.from(key as Buffer);
    return undefined;
  }

  /** The first offset whose record is not older than the time; the end where there is none. */
  offsetAt(topic: StoredTopic, partition: number, timestampMs: number): bigint {
    this.#tables.batches.resetReadTxn();
    const { first, end, greatestTimestampMs } = this.#catalogue.state(topic, partition);
    if (greatestTimestampMs < timestampMs) return end;
    // Each batch knows the greatest timestamp up to its end, which never falls: so it can be searched by halves.
    let low = first;
    let high = end;
    while (low < high) {
      const middle = (low + high) / 2n;
      const key = this.#keyOfBatchWith(topic, partition, middle);
      const batch = key === undefined ? undefined : this.#tables.batches.get(key);
      if (key === undefined || batch === undefined) break;
      const base = key.readBigUInt64BE(8);
      if (greatestTimestamp(batch) < timestampMs) low = base + BigInt(recordCount(batch));
      else high = base;
    }
    for (let from = low; from < end; ) {
      const { records } = this.read(topic, partition, from, 1000);
      const found = records.find((record) => record.timestampMs >= timestampMs);
      if (found !== undefined) return found.offset;
      const last = records.at(-1);
      if (last === undefined) break;
      from = last.offset + 1n;
    }
    return end;
  }
}
