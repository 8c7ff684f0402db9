import { execFile } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import type { BackingServer } from "./backing-server.ts";
import { freePort } from "./free-port.ts";
import { startRedis } from "./redis.ts";

const run = promisify(execFile);

/** A Redis Cluster of three masters on loopback. */
export interface RedisClusterServers {
  readonly url: string;
  readonly nodes: readonly BackingServer[];
  /** Stops all nodes and removes their data. */
  remove(): Promise<void>;
}

/** Starts a Redis Cluster of three masters without replicas, and waits until each of them serves. */
export const startRedisCluster = async (): Promise<RedisClusterServers> => {
  const nodes = await Promise.all(
    [1, 2, 3].map(async () =>
      startRedis({
        args: [
          ...["--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf"],
          ...["--cluster-node-timeout", "10000", "--cluster-port", String(await freePort())],
        ],
      }),
    ),
  );
  const addresses = nodes.map(({ port }) => `127.0.0.1:${port}`);
  try {
    await run("redis-cli", ["--cluster", "create", ...addresses, "--cluster-replicas", "0", "--cluster-yes"]);
    for (const { port } of nodes) await untilOk(port);
  } catch (error) {
    await Promise.all(nodes.map((node) => node.remove()));
    throw error;
  }
  return {
    url: `redis-cluster://${addresses.join(",")}`,
    nodes,
    remove: async () => {
      await Promise.all(nodes.map((node) => node.remove()));
    },
  };
};

const untilOk = async (port: number): Promise<void> => {
  for (let attempt = 0; attempt < 200; attempt++) {
    const { stdout } = await run("redis-cli", ["-p", String(port), "cluster", "info"]);
    if (stdout.includes("cluster_state:ok")) return;
    await sleep(50);
  }
  throw new Error("The Redis Cluster did not come up within 10 seconds.");
};
