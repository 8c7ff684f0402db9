import { execFileSync } from "node:child_process";
import { hasBacking, startRedis, startRedisCluster } from "@millrace/backing";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { kvContract } from "./kv.contract.ts";
import { openKv } from "./open-kv.ts";

describe.skipIf(!hasBacking("redis"))("with a real Redis", () => {
  kvContract("redis", {
    start: async () => {
      const redis = await startRedis();
      return {
        open: () => openKv(redis.url),
        crash: async () => {
          await redis.kill();
          await redis.start();
        },
        breakConnection: async () => {
          await redis.kill();
          return () => redis.start();
        },
        remove: () => redis.remove(),
      };
    },
  });

  kvContract("redis with a prefix and a password", {
    start: async () => {
      const redis = await startRedis({ args: ["--requirepass", "a b:c"] });
      const url = redis.url.replace("//", `//:${encodeURIComponent("a b:c")}@`);
      return { open: () => openKv(`${url}/3?prefix=team*:`), remove: () => redis.remove() };
    },
    without: { crash: "shown without a prefix", breakConnection: "shown without a prefix" },
  });

  kvContract("redis cluster", {
    start: async () => {
      const cluster = await startRedisCluster();
      const [first] = cluster.nodes;
      return {
        // One node is enough to find the others.
        open: () => openKv(`redis-cluster://127.0.0.1:${first?.port}`),
        crash: async () => {
          for (const node of cluster.nodes) await node.kill();
          for (const node of cluster.nodes) await node.start();
        },
        breakConnection: async () => {
          for (const node of cluster.nodes) await node.kill();
          return async () => {
            for (const node of cluster.nodes) await node.start();
          };
        },
        remove: () => cluster.remove(),
      };
    },
  });

  describe("a Redis that evicts", () => {
    const unsuitable = { reasonName: "STORE_UNSUITABLE", code: "FAILED_PRECONDITION" };

    test("is refused, since rows would begin anew", async () => {
      const redis = await startRedis({ args: ["--maxmemory", "100mb", "--maxmemory-policy", "volatile-lru"] });
      await expect(openKv(redis.url)).rejects.toMatchObject({
        ...unsuitable,
        message: expect.stringContaining("maxmemory-policy volatile-lru"),
      });
      await redis.remove();
    });

    test("is noticed when it is set later; one that is full and evicts nothing refuses writes", async () => {
      const redis = await startRedis({ args: ["--maxmemory-policy", "allkeys-lru"] });
      // Without a limit there is nothing to evict for.
      const kv = await openKv(redis.url);
      await kv.incarnation();
      const set = (...words: string[]) =>
        execFileSync("redis-cli", ["-p", String(redis.port), "config", "set", ...words]);
      set("maxmemory", "100kb");
      await expect(kv.incarnation()).rejects.toMatchObject(unsuitable);
      set("maxmemory-policy", "noeviction");
      await kv.incarnation();
      const write = { key: Buffer.from("k"), expectedVersion: 0, value: Buffer.from("1") };
      await expect(kv.compareAndSetMany([write])).rejects.toMatchObject({
        code: "UNAVAILABLE",
        message: expect.stringContaining("it refused with OOM"),
      });
      set("maxmemory", "0");
      expect(await kv.compareAndSetMany([write])).toEqual([true]);
      await kv.close();
      await redis.remove();
    });
  });

  describe("a prefix", () => {
    let redis: Awaited<ReturnType<typeof startRedis>>;
    beforeAll(async () => {
      redis = await startRedis();
    });
    afterAll(() => redis.remove());

    test("keeps the entries of two stores in one Redis apart", async () => {
      const [a, b] = await Promise.all(["a", "b"].map((prefix) => openKv(`${redis.url}?prefix=${prefix}:`)));
      const key = Buffer.from("k");
      await a?.compareAndSetMany([{ key, expectedVersion: 0, value: Buffer.from("1") }]);
      expect(await b?.getMany([key])).toEqual([undefined]);
      expect(await Array.fromAsync(b?.scan(Buffer.alloc(0)) ?? [])).toEqual([]);
      expect(await Array.fromAsync(a?.scan(Buffer.alloc(0)) ?? [])).toEqual([[key, Buffer.from("1")]]);
      await a?.close();
      await b?.close();
    });
  });
});
