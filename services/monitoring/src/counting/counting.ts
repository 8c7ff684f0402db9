import { fromBinary } from "@bufbuild/protobuf";
import { type ShardState, ShardStateSchema } from "@millrace/contracts/millrace/monitoring/v1/state";
import type { Consumer, EventLog, LogPosition, RecordBatch, TopicInfo } from "@millrace/event-log";
import { shardKey } from "../state-keys.ts";
import { Shard, type ShardParts, type Stream } from "./shard.ts";
import { TopicsInvalidError } from "./topics-invalid-error.ts";

export interface CountingParts extends ShardParts {
  readonly log: EventLog;
  readonly predictionTopic: string;
  readonly labelTopic: string;
  /** For topics that this service makes. */
  readonly partitions: number;
  readonly group: string;
  readonly batchRecords: number;
  /** Told of each batch, for metrics. */
  readonly onCounted?: (batch: RecordBatch, next: bigint) => void;
}

/** How far behind the end of its topics a service is. */
export interface Lag {
  readonly topic: string;
  readonly partition: number;
  readonly records: bigint;
}

/** Counts the prediction and label topics, as one member of a group, until it is stopped. */
export class Counting {
  readonly partitions: number;
  readonly #parts: CountingParts;
  readonly #topics: Readonly<Record<Stream, TopicInfo>>;
  readonly #shards: readonly Shard[];

  private constructor(parts: CountingParts, topics: Readonly<Record<Stream, TopicInfo>>) {
    this.#parts = parts;
    this.#topics = topics;
    this.partitions = topics.predictions.partitions;
    this.#shards = Array.from({ length: this.partitions }, (_, partition) => new Shard(partition, parts));
  }

  /** Makes the topics unless they exist. @throws TopicsInvalidError where their partitions differ. */
  static async open(parts: CountingParts): Promise<Counting> {
    const predictions = await parts.log.ensureTopic(parts.predictionTopic, parts.partitions);
    const labels = await parts.log.ensureTopic(parts.labelTopic, predictions.partitions);
    if (labels.partitions !== predictions.partitions) throw new TopicsInvalidError(predictions, labels);
    return new Counting(parts, { predictions, labels });
  }

  async run(signal: AbortSignal): Promise<void> {
    const consumer = await this.#parts.log.consume({
      topics: [this.#parts.predictionTopic, this.#parts.labelTopic],
      group: this.#parts.group,
      maxBatchRecords: this.#parts.batchRecords,
      handler: {
        onAssigned: (topic, partitions) => this.#begin(topic, partitions),
        onBatch: (batch, member) => this.#count(batch, member),
      },
    });
    const stopped = new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      else signal.addEventListener("abort", () => resolve(), { once: true });
    });
    try {
      await Promise.race([stopped, consumer.stopped]);
    } finally {
      await consumer.close();
    }
  }

  #streamOf(topic: string): Stream {
    return topic === this.#parts.predictionTopic ? "predictions" : "labels";
  }

  #shard(partition: number): Shard {
    const shard = this.#shards[partition];
    if (shard === undefined) throw new RangeError(`Partition ${partition} was added to a topic: restart the service.`);
    return shard;
  }

  #begin(topic: string, partitions: readonly number[]): Promise<LogPosition[]> {
    const stream = this.#streamOf(topic);
    return Promise.all(
      partitions.map(async (partition) => ({
        partition,
        offset: await this.#shard(partition).begin(stream, this.#topics[stream].epoch),
      })),
    );
  }

  async #count(batch: RecordBatch, consumer: Consumer): Promise<void> {
    const stream = this.#streamOf(batch.topic);
    const next = await this.#shard(batch.partition).count(stream, this.#topics[stream].epoch, batch);
    const last = batch.records.at(-1);
    // The store may know less than this batch's start (a restore), or more (another replica): go where it stands.
    if (last !== undefined && next !== last.offset + 1n)
      consumer.seek(batch.topic, { partition: batch.partition, offset: next });
    await consumer.commit(batch.topic, [{ partition: batch.partition, offset: next }]);
    this.#parts.onCounted?.(batch, next);
  }

  /** The state of every partition, as the store has it: whichever replica counted it. */
  async states(): Promise<readonly (ShardState | undefined)[]> {
    const values = await this.#parts.kv.getMany(this.#shards.map(({ partition }) => shardKey(partition)));
    return values.map((value) => (value === undefined ? undefined : fromBinary(ShardStateSchema, value)));
  }

  /** What is logged and not yet counted, by topic and partition; only those that lag. */
  async lags(): Promise<readonly Lag[]> {
    return this.lagsBehind(await this.ends());
  }

  /** The ends of both topics now. */
  async ends(): Promise<ReadonlyMap<Stream, ReadonlyMap<number, bigint>>> {
    const ends = new Map<Stream, ReadonlyMap<number, bigint>>();
    for (const stream of ["predictions", "labels"] as const) {
      const bounds = await this.#parts.log.bounds(this.#topics[stream].name);
      // What retention took away before it was counted cannot be waited for.
      ends.set(stream, new Map(bounds.map(({ partition, first, end }) => [partition, end > first ? end : 0n])));
    }
    return ends;
  }

  async lagsBehind(ends: ReadonlyMap<Stream, ReadonlyMap<number, bigint>>): Promise<readonly Lag[]> {
    const states = await this.states();
    const lags: Lag[] = [];
    for (const [stream, byPartition] of ends)
      for (const [partition, end] of byPartition) {
        const progress = states[partition]?.[stream];
        const next = progress?.epoch === this.#topics[stream].epoch ? progress.nextOffset : 0n;
        if (next < end) lags.push({ topic: this.#topics[stream].name, partition, records: end - next });
      }
    return lags;
  }
}
