import { type Admin, Kafka, logLevel, Partitioners, type Producer } from "kafkajs";
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
import { RecordInvalidError } from "../record-invalid-error.ts";
import { requireRecords, requireTopicName } from "../require-records.ts";
import { TopicUnknownError } from "../topic-unknown-error.ts";
import { KafkaCluster } from "./kafka-cluster.ts";
import { recordOf, startGroupMember } from "./kafka-consumer.ts";
import { kafkaFailure } from "./kafka-failure.ts";
import { type KafkaSettings, readKafkaUrl } from "./kafka-url.ts";
import { registerZstd } from "./zstd-codec.ts";

const topicTries = 20;
const topicRetryMs = 100;
const mostPartitions = 1024;

/** Told of what kafkajs itself calls an error or a warning. Most are retried to success: they are for a debug log. */
export type KafkaNotice = (notice: { readonly level: "error" | "warn"; readonly message: string }) => void;

/** How long partitions that are added to a topic may go unnoticed, by members of groups and by who appends. */
const partitionsKnownForMs = 10_000;

interface TopicPartitions {
  readonly count: number;
  readonly untilMs: number;
  next: number;
}

/**
 * Opens Kafka by URL, and fails at once where no broker answers.
 * @throws LogUrlInvalidError, LogUnavailableError
 */
export const openKafkaLog = async (url: string, notice: KafkaNotice = () => undefined): Promise<EventLog> => {
  const settings = readKafkaUrl(url);
  registerZstd();
  const creator = () => (entry: Parameters<ReturnType<typeof noticeOf>>[0]) => noticeOf(notice)(entry);
  const client = { ...settings.client, retry: { retries: 8, initialRetryTime: 100, maxRetryTime: 5000 } };
  const kafka = new Kafka({ ...client, connectionTimeout: 5000, logLevel: logLevel.WARN, logCreator: creator });
  const cluster = new KafkaCluster(client, { level: logLevel.WARN, creator });
  const admin = kafka.admin();
  try {
    await Promise.all([admin.connect(), cluster.connect()]);
  } catch (error) {
    await Promise.allSettled([admin.disconnect(), cluster.close()]);
    throw new LogUnavailableError(`connecting to ${settings.client.brokers}`, error);
  }
  return new KafkaLog(kafka, admin, cluster, settings);
};

const noticeOf =
  (notice: KafkaNotice) =>
  ({ level, log }: { level: logLevel; log: { message: string } & Record<string, unknown> }): void =>
    notice({
      level: level === logLevel.ERROR ? "error" : "warn",
      message: typeof log.error === "string" ? `${log.message}: ${log.error}` : log.message,
    });

class KafkaLog implements EventLog {
  readonly #kafka: Kafka;
  readonly #admin: Admin;
  readonly #cluster: KafkaCluster;
  readonly #settings: KafkaSettings;
  readonly #partitionsOf = new Map<string, TopicPartitions>();
  readonly #consumers = new Set<Consumer>();
  #producer: Promise<Producer> | undefined;
  #closed: Promise<void> | undefined;

  constructor(kafka: Kafka, admin: Admin, cluster: KafkaCluster, settings: KafkaSettings) {
    this.#kafka = kafka;
    this.#admin = admin;
    this.#cluster = cluster;
    this.#settings = settings;
  }

  async ensureTopic(topic: string, partitions: number): Promise<TopicInfo> {
    requireTopicName(topic);
    if (!Number.isInteger(partitions) || partitions < 1 || partitions > mostPartitions) {
      throw new RecordInvalidError("partitions", `1 to ${mostPartitions}`, `${partitions}`);
    }
    for (let attempt = 1; ; attempt++) {
      try {
        await this.#guard("making a topic", topic, () =>
          this.#admin.createTopics({
            topics: [{ topic, numPartitions: partitions, replicationFactor: this.#settings.replicationFactor }],
            waitForLeaders: true,
          }),
        );
        return await this.topic(topic);
      } catch (error) {
        // A broker may not know yet of the topic that it has just made.
        if (!(error instanceof TopicUnknownError) || attempt === topicTries) throw error;
        await new Promise((resolve) => setTimeout(resolve, topicRetryMs));
      }
    }
  }

  async topic(topic: string): Promise<TopicInfo> {
    const { partitions, id } = await this.#guard("describing a topic", topic, () => this.#cluster.describe(topic));
    return { name: topic, partitions, epoch: id };
  }

  async deleteTopic(topic: string): Promise<void> {
    this.#partitionsOf.delete(topic);
    await this.topic(topic);
    await this.#guard("deleting a topic", topic, () => this.#admin.deleteTopics({ topics: [topic] }));
  }

  async append(topic: string, records: readonly NewRecord[]): Promise<{ partition: number; offset: bigint }[]> {
    if (records.length === 0) return [];
    const known = await this.#partitions(topic);
    requireRecords(records, known.count);
    // Records without a key go together to one partition, the next one each time: small appends stay one request.
    const spread = known.next++ % known.count;
    const messages = records.map((record) => ({
      key: record.key === undefined ? null : Buffer.from(record.key),
      value: record.value === null ? null : Buffer.from(record.value),
      partition: record.partition ?? (record.key === undefined ? spread : partitionOfKey(record.key, known.count)),
      ...(record.headers && { headers: { ...record.headers } }),
      ...(record.timestampMs !== undefined && { timestamp: String(Math.floor(record.timestampMs)) }),
    }));
    const answers = await this.#guard("appending", topic, async () =>
      (await this.#openProducer()).send({ topic, messages, acks: -1, compression: this.#settings.compression }),
    );
    const next = new Map(answers.map(({ partition, baseOffset }) => [partition, BigInt(baseOffset ?? 0)]));
    return messages.map(({ partition }) => {
      const offset = next.get(partition) ?? 0n;
      next.set(partition, offset + 1n);
      return { partition, offset };
    });
  }

  async bounds(topic: string): Promise<{ partition: number; first: bigint; end: bigint }[]> {
    // kafkajs asks for an unknown topic again and again: this tells at once.
    await this.topic(topic);
    const offsets = await this.#guard("reading offsets", topic, () => this.#admin.fetchTopicOffsets(topic));
    return offsets
      .map(({ partition, low, high }) => ({ partition, first: BigInt(low), end: BigInt(high) }))
      .sort((a, b) => a.partition - b.partition);
  }

  async offsetsAt(topic: string, timestampMs: number): Promise<LogPosition[]> {
    await this.topic(topic);
    const offsets = await this.#guard("reading offsets by time", topic, () =>
      this.#admin.fetchTopicOffsetsByTimestamp(topic, Math.floor(timestampMs)),
    );
    return offsets
      .map(({ partition, offset }) => ({ partition, offset: BigInt(offset) }))
      .sort((a, b) => a.partition - b.partition);
  }

  async *read(topic: string, from: LogPosition, signal?: AbortSignal): AsyncIterable<RecordBatch> {
    const bounds = (await this.bounds(topic)).find(({ partition }) => partition === from.partition);
    if (bounds === undefined)
      throw new RecordInvalidError("partition", "a partition of the topic", `${from.partition}`);
    if (from.offset < bounds.first || from.offset > bounds.end) {
      throw new OffsetOutOfRangeError(topic, from.partition, from.offset, bounds.first, bounds.end);
    }
    let { offset } = from;
    while (offset < bounds.end) {
      signal?.throwIfAborted();
      const start = offset;
      const { messages, endOffset } = await this.#guard("reading", topic, () =>
        this.#cluster.fetch(topic, from.partition, start),
      );
      const last = messages.at(-1);
      // Compacted or transactional stretches can hold nothing to be seen up to the end.
      if (last === undefined) return;
      offset = BigInt(last.offset) + 1n;
      const records = messages
        .filter(
          (message) =>
            message.isControlRecord !== true && BigInt(message.offset) >= start && BigInt(message.offset) < bounds.end,
        )
        .map((message) => recordOf(from.partition, message));
      if (records.length > 0) yield { topic, partition: from.partition, records, endOffset };
    }
  }

  async consume(options: ConsumeOptions): Promise<Consumer> {
    for (const topic of options.topics) await this.topic(topic);
    const consumer = await startGroupMember(
      this.#kafka.consumer({
        groupId: options.group,
        allowAutoTopicCreation: false,
        maxWaitTimeInMs: options.maxWaitMs ?? 100,
        minBytes: 1,
        maxBytesPerPartition: 1024 * 1024,
        sessionTimeout: 10_000,
        heartbeatInterval: 2000,
        rebalanceTimeout: 60_000,
        metadataMaxAge: partitionsKnownForMs,
      }),
      options,
    );
    this.#consumers.add(consumer);
    return consumer;
  }

  async committed(topic: string, group: string): Promise<LogPosition[]> {
    await this.topic(topic);
    const answers = await this.#guard("reading committed offsets", topic, () =>
      this.#admin.fetchOffsets({ groupId: group, topics: [topic] }),
    );
    return answers
      .flatMap(({ partitions }) => partitions)
      .filter(({ offset }) => Number(offset) >= 0)
      .map(({ partition, offset }) => ({ partition, offset: BigInt(offset) }))
      .sort((a, b) => a.partition - b.partition);
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    await Promise.all([...this.#consumers].map((consumer) => consumer.close()));
    await (await this.#producer)?.disconnect();
    await this.#admin.disconnect();
    await this.#cluster.close();
  }

  /** An idempotent producer: what kafkajs sends again after a lost answer is not appended twice. */
  #openProducer(): Promise<Producer> {
    this.#producer ??= (async () => {
      const producer = this.#kafka.producer({
        idempotent: true,
        allowAutoTopicCreation: false,
        createPartitioner: Partitioners.DefaultPartitioner,
      });
      await producer.connect();
      return producer;
    })();
    // A connection that failed is tried again with the next append.
    this.#producer.catch(() => {
      this.#producer = undefined;
    });
    return this.#producer;
  }

  async #partitions(topic: string): Promise<TopicPartitions> {
    const known = this.#partitionsOf.get(topic);
    if (known !== undefined && performance.now() < known.untilMs) return known;
    const { partitions } = await this.topic(topic);
    const untilMs = performance.now() + partitionsKnownForMs;
    const found = { count: partitions, untilMs, next: known?.next ?? 0 };
    this.#partitionsOf.set(topic, found);
    return found;
  }

  async #guard<T>(doing: string, topic: string, call: () => Promise<T>): Promise<T> {
    if (this.#closed !== undefined) throw new LogUnavailableError("it was closed");
    try {
      return await call();
    } catch (error) {
      const failure = kafkaFailure(error, doing, topic);
      if (failure instanceof TopicUnknownError) this.#partitionsOf.delete(topic);
      throw failure;
    }
  }
}
