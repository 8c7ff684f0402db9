import { Cluster, Redis } from "ioredis";
import type { RedisSettings } from "./redis-url.ts";

const connectTimeoutMs = 5000;
const openTimeoutMs = 10_000;

const reconnectAfterMs = (attempt: number): number => Math.min(50 * 2 ** Math.min(attempt, 6), 2000);

/** A connection that is not yet made; see untilReady. */
export const connectionOf = (settings: RedisSettings): Redis | Cluster => {
  const options = {
    ...(settings.username !== undefined && { username: settings.username }),
    ...(settings.password !== undefined && { password: settings.password }),
    ...(settings.tls !== undefined && { tls: settings.tls }),
    connectTimeout: connectTimeoutMs,
    // What was under way when a connection broke may have been applied: the caller is told, and reads again.
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 1,
    // While there is no connection, calls fail at once: a call that waits in a queue could write long after it was given up.
    enableOfflineQueue: false,
    lazyConnect: true,
  };
  const [first = { host: "127.0.0.1", port: 6379 }] = settings.hosts;
  if (!settings.isCluster) {
    return new Redis({
      ...options,
      host: first.host,
      port: first.port,
      db: settings.database,
      retryStrategy: reconnectAfterMs,
    });
  }
  const { enableOfflineQueue, ...ofNodes } = options;
  return new Cluster([...settings.hosts], {
    redisOptions: ofNodes,
    enableOfflineQueue,
    clusterRetryStrategy: reconnectAfterMs,
    lazyConnect: true,
    retryDelayOnFailover: 200,
    maxRedirections: 10,
  });
};

/**
 * Connects. A cluster whose nodes are there and do not serve yet is tried again by ioredis, and its `connect` then never settles: so
 * the event is awaited too, and not for ever.
 */
export const untilReady = async (connection: Redis | Cluster): Promise<void> => {
  const ready = Promise.withResolvers<void>();
  connection.once("ready", ready.resolve);
  const timer = setTimeout(() => ready.reject(new Error("not ready in time")), openTimeoutMs);
  try {
    await Promise.race([connection.connect(), ready.promise]);
  } finally {
    clearTimeout(timer);
    connection.off("ready", ready.resolve);
  }
};
