import { setTimeout as sleep } from "node:timers/promises";
import { Server } from "@grpc/grpc-js";
import { describe, expect, test } from "vitest";
import { raiseResetLimits } from "../src/index.ts";
import { serveForTest } from "./serve-for-test.ts";

const usualRounds = 40;
/** A slow caller gives up some calls before it sends them, and resets fewer streams a round. */
const mostRounds = 400;
const expiring = 40;
const healthy = 10;

/**
 * Each round: 40 calls that expire and 10 that do not, on one connection. Answers how many of the 10 failed, over all
 * rounds, or until one round had failures.
 */
const failedHealthyCalls = async (
  options: Parameters<typeof serveForTest>[1],
  { rounds = usualRounds, untilOneFails = false } = {},
): Promise<number> => {
  const { client } = await serveForTest(
    {
      modelReady: async ({ name }, call) => {
        if (name === "slow") {
          await sleep(60_000, undefined, { signal: call.signal });
        }
        return { ready: true };
      },
    },
    options,
  );
  await client.modelReady({ name: "first" });
  let failed = 0;
  for (let round = 0; round < rounds && !(untilOneFails && failed > 0); round += 1) {
    const slow = Array.from({ length: expiring }, () =>
      client.modelReady({ name: "slow" }, { timeoutMs: 10 }).catch(() => undefined),
    );
    const quick = Array.from({ length: healthy }, async () => {
      await sleep(Math.floor(15 * Math.random()));
      return client.modelReady({ name: "quick" }, { timeoutMs: 20_000 }).then(
        () => 0,
        () => 1,
      );
    });
    await Promise.all(slow);
    for (const outcome of await Promise.all(quick)) {
      failed += outcome;
    }
  }
  return failed;
};

describe("forty calls that expire beside ten healthy ones, again and again on one connection", () => {
  test("fail no healthy call", { timeout: 60_000 }, async () => {
    expect(await failedHealthyCalls({})).toBe(0);
  });

  test("fail healthy calls under Node's own limit, which is why it is raised", { timeout: 60_000 }, async () => {
    const nodesOwn = { resetLimits: { streamResetBurst: 1000, streamResetRate: 33 } };
    expect(await failedHealthyCalls(nodesOwn, { rounds: mostRounds, untilOneFails: true })).toBeGreaterThan(0);
  });

  test("are not served by a grpc-js that keeps its options elsewhere: the start fails", () => {
    const server = new Server();
    Object.defineProperty(server, "commonServerOptions", { value: undefined });
    expect(() => raiseResetLimits(server, { streamResetBurst: 1, streamResetRate: 1 })).toThrow(/keeps its HTTP\/2/);
  });
});
