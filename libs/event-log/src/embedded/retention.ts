import { setImmediate as nextTurn } from "node:timers/promises";
import { batchKey, encodePartitionState, type LogTables, partitionKey } from "./log-tables.ts";
import { greatestTimestamp, recordCount } from "./record-batch-codec.ts";
import type { StoredTopic, TopicCatalogue } from "./topic-catalogue.ts";

const batchesPerTransaction = 256;

/** Removes the batches of deleted topics, a few in each transaction, so that appends get their turn. */
export const removeDeletedTopics = async (tables: LogTables, catalogue: TopicCatalogue): Promise<void> => {
  for (const topic of catalogue.deleted()) {
    const range = {
      start: batchKey(topic.id, 0, 0n),
      end: batchKey(topic.id + 1, 0, 0n),
      limit: batchesPerTransaction,
    };
    for (;;) {
      tables.batches.resetReadTxn();
      const keys = [...tables.batches.getKeys(range)].map((key) => Buffer.from(key as Buffer));
      if (keys.length === 0) break;
      await tables.batches.batch(() => {
        for (const key of keys) tables.batches.remove(key);
      });
    }
    await removeGroupRows(tables, topic);
    await catalogue.forgetDeleted(topic);
  }
};

const removeGroupRows = async (tables: LogTables, topic: StoredTopic): Promise<void> => {
  const member = "m".charCodeAt(0);
  const rows = [...tables.groups.getKeys()].map((key) => Buffer.from(key as Buffer));
  const ofTopic = rows.filter((row) => row[0] !== member && row.readUInt32BE(row.length - 8) === topic.id);
  await tables.groups.batch(() => {
    for (const row of ofTopic) tables.groups.remove(row);
  });
};

/** Removes whole batches whose records, and all before them, are older than the time. */
export const removeOlderThan = async (
  tables: LogTables,
  catalogue: TopicCatalogue,
  topic: StoredTopic,
  timestampMs: number,
): Promise<void> => {
  for (let partition = 0; partition < topic.partitions; partition++) {
    while (removeSome(tables, catalogue, topic, partition, timestampMs)) await nextTurn();
  }
};

const removeSome = (
  tables: LogTables,
  catalogue: TopicCatalogue,
  topic: StoredTopic,
  partition: number,
  timestampMs: number,
): boolean =>
  tables.partitions.transactionSync(() => {
    if (catalogue.find(topic.name)?.id !== topic.id) return false;
    const { version, ...state } = catalogue.state(topic, partition);
    let first = state.first;
    let removed = 0;
    const range = {
      start: batchKey(topic.id, partition, 0n),
      end: batchKey(topic.id, partition, state.end),
      limit: batchesPerTransaction,
    };
    for (const { key, value } of [...tables.batches.getRange(range)]) {
      if (greatestTimestamp(value) >= timestampMs) break;
      first = (key as Buffer).readBigUInt64BE(8) + BigInt(recordCount(value));
      tables.batches.remove(key as Buffer);
      removed++;
    }
    if (removed > 0) {
      tables.partitions.put(partitionKey(topic.id, partition), encodePartitionState({ ...state, first }), version + 1);
    }
    return removed === batchesPerTransaction;
  });
