import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort } from "@millrace/backing";
import { GRPCInferenceService } from "@millrace/contracts/inference/grpc_service";
import { createClient, openChannel } from "@millrace/grpc";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { scaleModel } from "./models.ts";
import { type RunningInference, startInference } from "./start-inference.ts";
import { floatRequest, floats } from "./tensors.ts";

const folder = mkdtempSync(join(tmpdir(), "millrace-replicas-"));
const replicas = new Map<number, RunningInference>();

const start = async (port: number): Promise<void> => {
  replicas.set(port, await startInference(["--models", folder, "--grpc-port", String(port), "--drain-delay-ms", "0"]));
};

beforeAll(() => writeFileSync(join(folder, "scale.onnx"), scaleModel(3)));

afterAll(async () => {
  await Promise.all([...replicas.values()].map((replica) => replica.stop()));
  rmSync(folder, { recursive: true });
});

/** Requests that a replica has answered. */
const answered = async (port: number): Promise<number> => {
  const statistics = await replicas.get(port)?.oip.modelStatistics({ name: "scale" });
  return Number(statistics?.modelStats[0]?.inferenceStats?.success?.count ?? 0n);
};

describe("replicas behind one name, with round_robin and retries in the client", () => {
  test("no call fails while one dies, one is stopped and one joins; each that lives answers its share", async () => {
    const first = await freePort();
    const second = await freePort();
    const third = await freePort();
    await Promise.all([start(first), start(second)]);
    const channel = openChannel(`ipv4:${[first, second, third].map((port) => `127.0.0.1:${port}`).join(",")}`);
    const client = createClient(GRPCInferenceService, channel, { retry: ["modelInfer"], timeoutMs: 10_000 });
    const failures: unknown[] = [];
    let calls = 0;
    let over = false;
    const caller = async () => {
      while (!over) {
        const value = calls++;
        await client.modelInfer(floatRequest("scale", [value], [1, 1])).then(
          (answer) => expect(floats(answer)[0]).toBe(Math.fround(value * 3)),
          (error: unknown) => failures.push(error),
        );
      }
    };
    const callers = Array.from({ length: 8 }, caller);
    await sleep(500);
    await replicas.get(first)?.kill();
    replicas.delete(first);
    await sleep(500);
    await start(third);
    await expect.poll(() => answered(third), { timeout: 20_000 }).toBeGreaterThan(20);
    await replicas.get(second)?.stop();
    replicas.delete(second);
    await sleep(500);
    await start(first);
    await expect.poll(() => answered(first), { timeout: 20_000 }).toBeGreaterThan(20);
    over = true;
    await Promise.all(callers);
    channel.close();
    expect(failures).toEqual([]);
    expect(calls).toBeGreaterThan(100);
  }, 90_000);
});
