import { join } from "node:path";
import { available, startKafka, startRedis } from "@millrace/backing";
import type { Backing } from "./layout.ts";
import type { Narration } from "./narration.ts";

/** Redis and Kafka of this walkthrough. They keep their data in the state folder. */
export interface BackingServers extends Backing {
  stop(): Promise<void>;
}

/** A server is not installed: says which, and how to get it. */
export class BackingMissingError extends Error {
  constructor(why: string) {
    super(`The profile redis-kafka cannot start: ${why}.`);
    this.name = "BackingMissingError";
  }
}

/** Starts real Redis and Kafka on loopback. With MILLRACE_REDIS_URL and MILLRACE_KAFKA_URL set, those are used instead. */
export const startBacking = async (folder: string, narration: Narration): Promise<BackingServers> => {
  const { MILLRACE_REDIS_URL: redisUrl, MILLRACE_KAFKA_URL: kafkaUrl } = process.env;
  delete process.env.MILLRACE_REDIS_URL;
  delete process.env.MILLRACE_KAFKA_URL;
  if (redisUrl !== undefined && kafkaUrl !== undefined) {
    narration.line("Redis and Kafka are used by the URLs in MILLRACE_REDIS_URL and MILLRACE_KAFKA_URL.");
    return { redisUrl, kafkaUrl, stop: async () => undefined };
  }
  for (const name of ["redis", "kafka"] as const) {
    const answer = available(name);
    if (answer !== true) throw new BackingMissingError(answer);
  }
  // Ports of an earlier start are in Kafka's metadata only as listeners, which each start writes anew.
  const [redis, kafka] = await Promise.all([
    startRedis({ folder: join(folder, "redis"), appendfsync: "everysec" }),
    startKafka({ folder: join(folder, "kafka") }),
  ]);
  narration.line(`${redis.url}  ${kafka.url}`);
  return {
    redisUrl: redis.url,
    kafkaUrl: kafka.url,
    stop: async () => {
      await Promise.all([redis.stop(), kafka.stop()]);
    },
  };
};
