import kafkajs from "kafkajs";
import { LogUnavailableError } from "../log-unavailable-error.ts";
import { TopicUnknownError } from "../topic-unknown-error.ts";

// kafkajs is CommonJS, and Node finds its error classes only on the whole.
const { KafkaJSError, KafkaJSProtocolError } = kafkajs;

/** Protocol errors that say that a member's partitions are, or will at once be, another's. */
const lostPartition = new Set([
  "REBALANCE_IN_PROGRESS",
  "ILLEGAL_GENERATION",
  "UNKNOWN_MEMBER_ID",
  "FENCED_INSTANCE_ID",
]);

const protocolTypes = function* (error: unknown): Iterable<string> {
  for (let at: unknown = error; at instanceof Error; at = at.cause) {
    if (at instanceof KafkaJSProtocolError) yield at.type;
  }
};

/** Whether the group has gone on without the member, or is about to. */
export const saysPartitionLost = (error: unknown): boolean =>
  [...protocolTypes(error)].some((type) => lostPartition.has(type));

/** Turns what kafkajs throws into an error of the port. Errors of other kinds are given back as they are. */
export const kafkaFailure = (error: unknown, doing: string, topic: string): unknown => {
  for (const type of protocolTypes(error)) {
    if (type === "UNKNOWN_TOPIC_OR_PARTITION") return new TopicUnknownError(topic);
  }
  return error instanceof KafkaJSError ? new LogUnavailableError(doing, error) : error;
};
