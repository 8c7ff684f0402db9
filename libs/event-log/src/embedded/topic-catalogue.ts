import { randomUUID } from "node:crypto";
import type { TopicInfo } from "../event-log.ts";
import { RecordInvalidError } from "../record-invalid-error.ts";
import { requireTopicName } from "../require-records.ts";
import { TopicUnknownError } from "../topic-unknown-error.ts";
import {
  decodePartitionState,
  encodePartitionState,
  type LogTables,
  type PartitionState,
  partitionKey,
} from "./log-tables.ts";

/** A topic, with the number that its batches are kept under. A topic that was deleted and made anew has another. */
export interface StoredTopic extends TopicInfo {
  readonly id: number;
}

const nextId = Buffer.from("!next-id");
const deletedPrefix = "!deleted-";
const mostPartitions = 1024;

/** Which topics there are. Every look goes to the table, since other processes make and delete topics too. */
export class TopicCatalogue {
  readonly #tables: LogTables;

  constructor(tables: LogTables) {
    this.#tables = tables;
  }

  find(topic: string): StoredTopic | undefined {
    const bytes = this.#tables.topics.get(Buffer.from(topic));
    return bytes === undefined ? undefined : (JSON.parse(bytes.toString()) as StoredTopic);
  }

  /** @throws TopicUnknownError */
  require(topic: string): StoredTopic {
    requireTopicName(topic);
    const found = this.find(topic);
    if (found === undefined) throw new TopicUnknownError(topic);
    return found;
  }

  async ensure(topic: string, partitions: number): Promise<StoredTopic> {
    requireTopicName(topic);
    if (!Number.isInteger(partitions) || partitions < 1 || partitions > mostPartitions) {
      throw new RecordInvalidError("partitions", `1 to ${mostPartitions}`, `${partitions}`);
    }
    return (
      this.find(topic) ?? this.#tables.topics.transactionSync(() => this.find(topic) ?? this.#make(topic, partitions))
    );
  }

  #make(topic: string, partitions: number): StoredTopic {
    const { topics, partitions: states } = this.#tables;
    const id = Number(topics.get(nextId)?.toString() ?? "1");
    const made: StoredTopic = { id, name: topic, partitions, epoch: randomUUID() };
    topics.put(nextId, Buffer.from(`${id + 1}`), 1);
    topics.put(Buffer.from(topic), Buffer.from(JSON.stringify(made)), 1);
    const empty = encodePartitionState({ first: 0n, end: 0n, greatestTimestampMs: 0 });
    for (let partition = 0; partition < partitions; partition++) states.put(partitionKey(id, partition), empty, 1);
    return made;
  }

  /** Takes the topic away at once; its batches are removed by the retention sweep. @throws TopicUnknownError */
  async delete(topic: string): Promise<StoredTopic> {
    const { topics, partitions: states } = this.#tables;
    const deleted = topics.transactionSync(() => {
      const found = this.find(topic);
      if (found === undefined) return undefined;
      topics.remove(Buffer.from(topic));
      for (let partition = 0; partition < found.partitions; partition++)
        states.remove(partitionKey(found.id, partition));
      topics.put(Buffer.from(`${deletedPrefix}${found.id}`), Buffer.from(JSON.stringify(found)), 1);
      return found;
    });
    if (deleted === undefined) throw new TopicUnknownError(topic);
    return deleted;
  }

  all(): StoredTopic[] {
    // "!" sorts before every letter, digit, dot and dash that a name may begin with.
    return [...this.#tables.topics.getRange({ start: Buffer.from('"') })].map(
      ({ value }) => JSON.parse(value.toString()) as StoredTopic,
    );
  }

  /** Topics whose batches are still to be removed. */
  deleted(): StoredTopic[] {
    const range = { start: Buffer.from(deletedPrefix), end: Buffer.from(`${deletedPrefix}~`) };
    return [...this.#tables.topics.getRange(range)].map(({ value }) => JSON.parse(value.toString()) as StoredTopic);
  }

  async forgetDeleted(topic: StoredTopic): Promise<void> {
    await this.#tables.topics.remove(Buffer.from(`${deletedPrefix}${topic.id}`));
  }

  /** @throws TopicUnknownError where the topic was deleted meanwhile. */
  state(topic: StoredTopic, partition: number): PartitionState & { readonly version: number } {
    const entry = this.#tables.partitions.getEntry(partitionKey(topic.id, partition));
    if (entry === undefined) throw new TopicUnknownError(topic.name);
    return { ...decodePartitionState(entry.value), version: entry.version ?? 0 };
  }
}
