/**
 * Real servers on loopback for tests, benchmarks and the walkthrough.
 *
 *     describe.skipIf(!hasBacking("redis"))("on Redis", () => {
 *       const redis = await startRedis();   // redis.url, redis.kill(), redis.start(), redis.remove()
 *     });
 */
export { available, type BackingName, hasBacking } from "./available.ts";
export type { BackingOptions, BackingServer } from "./backing-server.ts";
export { freePort } from "./free-port.ts";
export { startKafka } from "./kafka.ts";
export { startPostgres } from "./postgres.ts";
export { type RedisOptions, startRedis } from "./redis.ts";
export { type RedisClusterServers, startRedisCluster } from "./redis-cluster.ts";
