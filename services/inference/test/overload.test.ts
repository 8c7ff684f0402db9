import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { RpcError } from "@millrace/grpc";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { slowModel } from "./models.ts";
import { type RunningInference, startInference } from "./start-inference.ts";
import { floatRequest } from "./tensors.ts";

const folder = mkdtempSync(join(tmpdir(), "millrace-overload-"));
let service: RunningInference;

beforeAll(async () => {
  writeFileSync(join(folder, "slow.onnx"), slowModel(3));
  writeFileSync(join(folder, "slower.onnx"), slowModel(100));
  service = await startInference(["--models", folder, "--max-queue-size", "256"]);
}, 60_000);

afterAll(async () => {
  expect(await service.stop()).toBe(0);
  rmSync(folder, { recursive: true });
});

describe("more than can be done is refused", () => {
  test("when the queue is full, with advice when to try again", async () => {
    const slow = () => service.oip.modelInfer(floatRequest("slow", [1], [1]), { timeoutMs: 60_000 });
    const answers = await Promise.allSettled(Array.from({ length: 300 }, slow));
    const refused = answers.flatMap((answer) => (answer.status === "rejected" ? [answer.reason as RpcError] : []));
    expect(refused.length).toBeGreaterThan(0);
    expect(refused.length).toBeLessThan(60);
    for (const error of refused)
      expect(error).toMatchObject({
        code: "RESOURCE_EXHAUSTED",
        reason: "OVERLOADED",
        retryAfterMs: expect.any(Number),
      });
  }, 90_000);

  test("when the deadline passes in the queue: it is never run", async () => {
    const statistics = async () => (await service.oip.modelStatistics({ name: "slower" })).modelStats[0];
    const first = service.oip.modelInfer(floatRequest("slower", [1], [1]), { timeoutMs: 60_000 });
    // Its time in the queue is counted when its run begins.
    while ((await statistics())?.inferenceStats?.queue?.count !== 1n)
      await new Promise((resolve) => setTimeout(resolve, 2));
    const late = await Promise.allSettled(
      Array.from({ length: 5 }, () => service.oip.modelInfer(floatRequest("slower", [1], [1]), { timeoutMs: 20 })),
    );
    await first;
    expect(
      late.map((answer) => (answer.status === "rejected" ? (answer.reason as RpcError).code : "answered")),
    ).toEqual(Array(5).fill("DEADLINE_EXCEEDED"));
    expect((await statistics())?.executionCount).toBe(1n);
  }, 60_000);

  test("when the requests under way have as many bytes as all may have", async () => {
    const bounded = await startInference(["--models", folder, "--max-in-flight-bytes", "1024"]);
    const long = (bytes: number) =>
      bounded.oip.modelInfer({ ...floatRequest("slower", [1], [1]), id: "x".repeat(bytes) }, { timeoutMs: 60_000 });
    const answers = await Promise.allSettled([long(400), long(400), long(400), long(400)]);
    const refused = answers.flatMap((answer) => (answer.status === "rejected" ? [answer.reason as RpcError] : []));
    expect(refused.map(({ code, reason, metadata }) => [code, reason, metadata.maxInFlightBytes])).toEqual(
      Array(2).fill(["RESOURCE_EXHAUSTED", "OVERLOADED", "1024"]),
    );
    expect((await long(900)).modelName).toBe("slower");
    expect(await (await fetch(bounded.metricsUrl)).text()).toMatch(/^millrace_inference_in_flight_bytes 0$/m);
    expect(await bounded.stop()).toBe(0);
  }, 60_000);
});
