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
export const startBacking = async (folder: string, fresh: boolean, narration: Narration): Promise<BackingServers> => {
  const { MILLRACE_REDIS_URL: redisUrl, MILLRACE_KAFKA_URL: kafkaUrl } = process.env;
  if ((redisUrl === undefined) !== (kafkaUrl === undefined)) {
    throw new BackingMissingError("MILLRACE_REDIS_URL and MILLRACE_KAFKA_URL have to be set together");
  }
  if (redisUrl !== undefined && kafkaUrl !== undefined) {
    if (fresh) throw new BackingMissingError("--fresh does not clear servers that are not the walkthrough's own");
    narration.line("Redis and Kafka are used by the URLs in MILLRACE_REDIS_URL and MILLRACE_KAFKA_URL.");
    return { redisUrl, kafkaUrl, stop: async () => undefined };
  }
  for (const name of ["redis", "kafka"] as const) {
    const answer = available(name);
    if (answer !== true) throw new BackingMissingError(answer);
  }
  const redis = await startRedis({ folder: join(folder, "redis"), appendfsync: "everysec" });
  const kafka = await startKafka({ folder: join(folder, "kafka") }).catch(async (error: unknown) => {
    await redis.stop();
    throw error;
  });
  narration.line(`${redis.url}  ${kafka.url}`);
  return {
    redisUrl: redis.url,
    kafkaUrl: kafka.url,
    stop: async () => {
      await Promise.all([redis.stop(), kafka.stop()]);
    },
  };
};
