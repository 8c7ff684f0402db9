import type { EachBatchPayload, Consumer as KafkaConsumer, KafkaMessage } from "kafkajs";
import type { ConsumeOptions, Consumer, LogPosition, LogRecord, RecordBatch } from "../event-log.ts";
import { PartitionLostError } from "../partition-lost-error.ts";
import { kafkaFailure, saysPartitionLost } from "./kafka-failure.ts";

const heartbeatEveryMs = 2000;

/** One record as the port has it. */
export const recordOf = (partition: number, message: KafkaMessage): LogRecord => ({
  partition,
  offset: BigInt(message.offset),
  key: message.key ?? undefined,
  value: message.value,
  headers: Object.fromEntries(
    Object.entries(message.headers ?? {}).map(([name, value]) => [
      name,
      Array.isArray(value) ? String(value[0]) : String(value ?? ""),
    ]),
  ),
  timestampMs: Number(message.timestamp),
});

/**
 * A member of a Kafka group that begins where its handler says. kafkajs begins at the committed offset whenever the group
 * is formed anew, so the handler is asked again each time, and what was fetched before its answer is dropped.
 */
export class KafkaGroupMember implements Consumer {
  readonly stopped: Promise<void>;
  readonly #consumer: KafkaConsumer;
  readonly #options: ConsumeOptions;
  readonly #end = Promise.withResolvers<void>();
  #assigned = new Map<string, readonly number[]>();
  /** Settled when the handler has said where the partitions of this generation begin. */
  #assignment: Promise<void> = Promise.resolve();
  #closing: Promise<void> | undefined;
  readonly #underWay = new Set<Promise<void>>();

  constructor(consumer: KafkaConsumer, options: ConsumeOptions) {
    this.#consumer = consumer;
    this.#options = options;
    this.stopped = this.#end.promise;
    // Whoever waits for it sees the rejection; nobody has to.
    this.stopped.catch(() => undefined);
  }

  async run(): Promise<void> {
    const { events } = this.#consumer;
    this.#consumer.on(events.GROUP_JOIN, ({ payload }) => {
      this.#assignment = this.#assignment
        .then(() => this.#takeOver(payload.memberAssignment))
        .catch((error: unknown) => this.#fail(error));
    });
    this.#consumer.on(events.CRASH, ({ payload }) => {
      if (!payload.restart) this.#fail(kafkaFailure(payload.error, "consuming", this.#options.topics.join(", ")));
    });
    await this.#consumer.connect();
    await this.#consumer.subscribe({ topics: [...this.#options.topics], fromBeginning: true });
    await this.#consumer.run({
      autoCommit: false,
      eachBatchAutoResolve: false,
      // Partitions are independent: one that waits for its store does not hold up the others.
      partitionsConsumedConcurrently: 16,
      eachBatch: (payload) => this.#handle(payload),
    });
  }

  async commit(topic: string, positions: readonly LogPosition[]): Promise<void> {
    try {
      await this.#consumer.commitOffsets(
        positions.map(({ partition, offset }) => ({ topic, partition, offset: offset.toString() })),
      );
    } catch (error) {
      if (saysPartitionLost(error)) throw new PartitionLostError(topic, undefined, this.#options.group, error);
      throw kafkaFailure(error, "committing offsets", topic);
    }
  }

  seek(topic: string, { partition, offset }: LogPosition): void {
    this.#consumer.seek({ topic, partition, offset: offset.toString() });
  }

  close(): Promise<void> {
    this.#closing ??= this.#disconnect();
    return this.#closing;
  }

  async #disconnect(): Promise<void> {
    // kafkajs drops commits as soon as it is told to stop: the batches at hand are finished first.
    await Promise.allSettled(this.#underWay);
    await this.#consumer.stop();
    const assigned = this.#assigned;
    this.#assigned = new Map();
    for (const [topic, partitions] of assigned) await this.#options.handler.onRevoked?.(topic, partitions);
    await this.#consumer.disconnect();
    this.#end.resolve();
  }

  #fail(error: unknown): void {
    this.#end.reject(error);
    this.#closing ??= this.#disconnect().catch(() => undefined);
  }

  async #takeOver(assignment: Readonly<Record<string, readonly number[]>>): Promise<void> {
    const { handler } = this.#options;
    for (const [topic, partitions] of this.#assigned) await handler.onRevoked?.(topic, partitions);
    this.#assigned = new Map(Object.entries(assignment).filter(([, partitions]) => partitions.length > 0));
    for (const [topic, partitions] of this.#assigned) {
      for (const position of (await handler.onAssigned?.(topic, partitions)) ?? []) this.seek(topic, position);
    }
  }

  async #handOver(batch: RecordBatch, heartbeat: () => Promise<void>): Promise<void> {
    const work = whileBeating(heartbeat, this.#options.handler.onBatch(batch, this));
    this.#underWay.add(work);
    try {
      await work;
    } finally {
      this.#underWay.delete(work);
    }
  }

  async #handle({ batch, resolveOffset, heartbeat, isRunning, isStale }: EachBatchPayload): Promise<void> {
    const { topic, partition } = batch;
    await this.#assignment;
    // Fetched before the handler said where to begin: the fetch after its seek brings the right one.
    if (isStale()) return;
    const size = this.#options.maxBatchRecords ?? 1000;
    const endOffset = BigInt(batch.highWatermark);
    for (let at = 0; at < batch.messages.length; at += size) {
      if (!isRunning() || isStale() || this.#closing !== undefined) return;
      const messages = batch.messages.slice(at, at + size);
      try {
        const records = messages.map((message) => recordOf(partition, message));
        await this.#handOver({ topic, partition, records, endOffset }, heartbeat);
      } catch (error) {
        // The beat then throws, and the member joins anew; what was not committed comes again to whoever has it then.
        if (error instanceof PartitionLostError) await heartbeat();
        else this.#fail(error);
        return;
      }
      if (isStale()) return;
      const last = messages.at(-1);
      if (last !== undefined) resolveOffset(last.offset);
      await heartbeat();
    }
  }
}

/** Beats while a handler works, however long it takes. That a rebalance goes on is told by the beat after the batch. */
const whileBeating = async (heartbeat: () => Promise<void>, work: Promise<void>): Promise<void> => {
  const timer = setInterval(() => void heartbeat().catch(() => undefined), heartbeatEveryMs);
  try {
    await work;
  } finally {
    clearInterval(timer);
  }
};

/** Starts a member. @throws LogUnavailableError, TopicUnknownError */
export const startGroupMember = async (consumer: KafkaConsumer, options: ConsumeOptions): Promise<Consumer> => {
  const member = new KafkaGroupMember(consumer, options);
  try {
    await member.run();
  } catch (error) {
    // That it could not be told goodbye either adds nothing to why it could not join.
    await consumer.disconnect().catch(() => undefined);
    throw kafkaFailure(error, "joining a group", options.topics.join(", "));
  }
  return member;
};
