import kafkajs from "kafkajs";
import { LogUnavailableError } from "../log-unavailable-error.ts";
import { TopicUnknownError } from "../topic-unknown-error.ts";

// kafkajs is CommonJS, and Node finds its error classes only on the whole.
const { KafkaJSError, KafkaJSProtocolError } = kafkajs;

/** Turns what kafkajs throws into an error of the port. Errors of other kinds are given back as they are. */
export const kafkaFailure = (error: unknown, doing: string, topic: string): unknown => {
  for (let at: unknown = error; at instanceof Error; at = at.cause) {
    if (at instanceof KafkaJSProtocolError && at.type === "UNKNOWN_TOPIC_OR_PARTITION")
      return new TopicUnknownError(topic);
  }
  return error instanceof KafkaJSError ? new LogUnavailableError(doing, error) : error;
};
