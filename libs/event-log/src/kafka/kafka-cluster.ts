/*
 * Two things that Kafka's protocol has and kafkajs' public interface lacks:
 *
 * - the id of a topic (Metadata from version 10 on), which changes when a topic is deleted and made anew;
 * - reading a partition outside of any group.
 *
 * Both use the parts that kafkajs is made of. Its version is pinned, and the contract test fails when an upgrade moves them.
 */
import { createRequire } from "node:module";
import type { KafkaConfig, KafkaMessage, logCreator, logLevel } from "kafkajs";
import { TopicUnknownError } from "../topic-unknown-error.ts";

interface Decoder {
  readInt16(): number;
  readInt32(): number;
  readUVarInt(): number;
  readUVarIntString(): string | null;
  readBytes(length?: number): Buffer;
  readBoolean(): boolean;
  readTaggedFields(): unknown;
  forward(bytes: number): void;
  offset: number;
  buffer: Buffer;
}

interface Encoder {
  writeInt8(value: number): Encoder;
  writeBoolean(value: boolean): Encoder;
  writeUVarInt(value: number): Encoder;
  writeUVarIntString(value: string): Encoder;
  writeBuffer(value: Buffer): Encoder;
}

interface Broker {
  readonly connectionPool: {
    send<T>(message: {
      request: object;
      response: { decode(raw: Buffer): Promise<Buffer>; parse(raw: Buffer): Promise<T> };
    }): Promise<T>;
  };
  connect(): Promise<void>;
  isConnected(): boolean;
  fetch(request: object): Promise<{ responses: readonly { partitions: readonly FetchedPartition[] }[] }>;
}

interface FetchedPartition {
  readonly partition: number;
  readonly errorCode: number;
  readonly highWatermark: string;
  readonly messages: readonly (KafkaMessage & { readonly isControlRecord?: boolean })[];
}

interface Cluster {
  connect(): Promise<void>;
  disconnect(): Promise<void>;
  addTargetTopic(topic: string): Promise<void>;
  refreshMetadata(): Promise<void>;
  findTopicPartitionMetadata(topic: string): readonly { readonly partitionId: number; readonly leader: number }[];
  findLeaderForPartitions(topic: string, partitions: readonly number[]): Readonly<Record<string, readonly number[]>>;
  findBroker(options: { nodeId: string | number }): Promise<Broker>;
  findControllerBroker(): Promise<Broker>;
}

const require = createRequire(import.meta.url);
const ClusterOfKafkajs = require("kafkajs/src/cluster/index.js") as new (options: object) => Cluster;
const createSocketFactory = require("kafkajs/src/network/socketFactory.js") as () => unknown;
const { createLogger } = require("kafkajs/src/loggers/index.js") as { createLogger(options: object): unknown };
const EncoderOfKafkajs = require("kafkajs/src/protocol/encoder.js") as new () => Encoder;
const DecoderOfKafkajs = require("kafkajs/src/protocol/decoder.js") as new (raw: Buffer) => Decoder;

const metadataKey = 3;
/** The first version whose answer has topic ids. From version 9 on, headers and fields are of the compact kind. */
const metadataVersion = 10;

/** How often a topic's leader is looked for before it counts as unknown. */
const leaderLooks = 5;

export interface FetchedRecords {
  readonly messages: readonly (KafkaMessage & { readonly isControlRecord?: boolean })[];
  readonly endOffset: bigint;
}

/** A connection to the brokers for reading outside of groups. */
export class KafkaCluster {
  readonly #cluster: Cluster;
  readonly #topics = new Set<string>();

  constructor(client: KafkaConfig, log: { readonly level: logLevel; readonly creator: logCreator }) {
    this.#cluster = new ClusterOfKafkajs({
      logger: createLogger({ level: log.level, logCreator: log.creator }),
      socketFactory: createSocketFactory(),
      offsets: new Map(),
      retry: client.retry,
      connectionTimeout: 5000,
      requestTimeout: 30_000,
      enforceRequestTimeout: true,
      allowAutoTopicCreation: false,
      ...client,
    });
  }

  async connect(): Promise<void> {
    await this.#cluster.connect();
  }

  async close(): Promise<void> {
    await this.#cluster.disconnect();
  }

  /** Number of partitions, and the id that Kafka gave the topic. @throws TopicUnknownError */
  async describe(topic: string): Promise<{ readonly partitions: number; readonly id: string }> {
    await this.#cluster.refreshMetadata();
    const broker = await this.#cluster.findControllerBroker();
    if (!broker.isConnected()) await broker.connect();
    const found = await broker.connectionPool.send({
      request: {
        apiKey: metadataKey,
        apiVersion: metadataVersion,
        apiName: "Metadata",
        encode: async () => encodeMetadataRequest(topic),
      },
      response: { decode: async (raw) => raw, parse: async (raw) => decodeMetadataResponse(raw, topic) },
    });
    if (found === undefined) throw new TopicUnknownError(topic);
    return found;
  }

  /** The records that a partition holds from an offset on, some of them; none at its end. */
  async fetch(topic: string, partition: number, offset: bigint): Promise<FetchedRecords> {
    if (!this.#topics.has(topic)) {
      await this.#cluster.addTargetTopic(topic);
      this.#topics.add(topic);
    }
    const broker = await this.#cluster.findBroker({ nodeId: await this.#leaderOf(topic, partition) });
    const { responses } = await broker.fetch({
      maxWaitTime: 100,
      minBytes: 1,
      maxBytes: 16 * 1024 * 1024,
      isolationLevel: 0,
      topics: [{ topic, partitions: [{ partition, fetchOffset: offset.toString(), maxBytes: 4 * 1024 * 1024 }] }],
    });
    const answer = responses[0]?.partitions[0];
    if (answer === undefined) throw new TopicUnknownError(topic);
    return { messages: answer.messages, endOffset: BigInt(answer.highWatermark) };
  }

  /**
   * The broker that leads a partition. What is known of topics is replaced whole by each answer of the brokers: one that
   * was asked for before this topic was added, and comes after it, knows nothing of it.
   */
  async #leaderOf(topic: string, partition: number): Promise<string> {
    for (let look = 0; look < leaderLooks; look++) {
      const [nodeId] = Object.keys(this.#cluster.findLeaderForPartitions(topic, [partition]));
      if (nodeId !== undefined) return nodeId;
      await this.#cluster.refreshMetadata();
    }
    throw new TopicUnknownError(topic);
  }
}

/** The header of a compact request ends with its tagged fields, of which there are none: kafkajs writes the older header. */
const encodeMetadataRequest = (topic: string): Encoder =>
  new EncoderOfKafkajs()
    .writeUVarInt(0)
    .writeUVarInt(2)
    .writeBuffer(Buffer.alloc(16))
    .writeUVarIntString(topic)
    .writeUVarInt(0)
    .writeBoolean(false)
    .writeBoolean(false)
    .writeBoolean(false)
    .writeUVarInt(0);

const compactArray = <T>(decoder: Decoder, read: () => T): T[] =>
  Array.from({ length: Math.max(0, decoder.readUVarInt() - 1) }, read);

/** Kafka's schema of MetadataResponse version 10. Answers undefined where the topic does not exist. */
const decodeMetadataResponse = (raw: Buffer, topic: string): { partitions: number; id: string } | undefined => {
  const decoder = new DecoderOfKafkajs(raw);
  decoder.readTaggedFields();
  decoder.readInt32();
  compactArray(decoder, () => {
    decoder.readInt32();
    decoder.readUVarIntString();
    decoder.readInt32();
    decoder.readUVarIntString();
    decoder.readTaggedFields();
  });
  decoder.readUVarIntString();
  decoder.readInt32();
  const topics = compactArray(decoder, () => {
    const errorCode = decoder.readInt16();
    const name = decoder.readUVarIntString();
    const id = decoder.buffer.subarray(decoder.offset, decoder.offset + 16).toString("hex");
    decoder.forward(16);
    decoder.readBoolean();
    const partitions = compactArray(decoder, () => {
      decoder.readInt16();
      decoder.readInt32();
      decoder.readInt32();
      decoder.readInt32();
      for (let list = 0; list < 3; list++) compactArray(decoder, () => decoder.readInt32());
      decoder.readTaggedFields();
    });
    decoder.readInt32();
    decoder.readTaggedFields();
    return { errorCode, name, id, partitions: partitions.length };
  });
  const found = topics.find(({ name }) => name === topic);
  return found === undefined || found.errorCode !== 0 ? undefined : { partitions: found.partitions, id: found.id };
};
