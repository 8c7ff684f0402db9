import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { Agent } from "node:http";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { slowModel } from "./models.ts";
import { restAsk } from "./rest-ask.ts";
import { type RunningInference, startInference } from "./start-inference.ts";

const models = mkdtempSync(join(tmpdir(), "millrace-rest-stop-"));
let service: RunningInference;

beforeAll(async () => {
  writeFileSync(join(models, "slow.onnx"), slowModel(300));
  service = await startInference(["--models", models]);
}, 60_000);

afterAll(async () => {
  await service.stop();
  rmSync(models, { recursive: true });
});

const slow = { inputs: [{ name: "x", datatype: "FP32", shape: [1], data: [1] }] };

/** The count of runs of the slow model that are over. */
const slowRuns = async ({ restUrl }: RunningInference) => {
  const { json } = await restAsk(`${restUrl}/v2/models/slow/stats`, undefined);
  return (
    json as {
      model_stats: {
        execution_count: number;
        inference_stats: { queue: { count: number }; fail: { count: number } };
      }[];
    }
  ).model_stats[0];
};

describe("a caller that goes away", () => {
  test("has its request taken out of the queue: it is never run", async () => {
    const first = restAsk(`${service.restUrl}/v2/models/slow/infer`, slow);
    while ((await slowRuns(service))?.inference_stats.queue.count !== 1) await sleep(2);
    const { hostname, port } = new URL(service.restUrl);
    const body = JSON.stringify(slow);
    const gone = connect(Number(port), hostname);
    gone.write(`POST /v2/models/slow/infer HTTP/1.1\r\nhost: a\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
    await sleep(50);
    gone.destroy();
    while ((await slowRuns(service))?.inference_stats.fail.count !== 1) await sleep(2);
    expect((await first).status).toBe(200);
    expect((await slowRuns(service))?.execution_count).toBe(1);
  }, 60_000);
});

describe("a stop", () => {
  test("answers what was taken, closes connections that are kept alive, and exits 0", async () => {
    const agent = new Agent({ keepAlive: true });
    const idle = await restAsk(`${service.restUrl}/v2/health/live`, undefined, {}, { agent });
    expect(idle.headers.connection).toBe("keep-alive");
    const running = restAsk(
      `${service.restUrl}/v2/models/slow/infer`,
      slow,
      {},
      { agent: new Agent({ keepAlive: true }) },
    );
    while ((await slowRuns(service))?.inference_stats.queue.count !== 2) await sleep(2);
    const stopped = service.stop();
    const answer = await running;
    expect(answer.status).toBe(200);
    expect(answer.headers.connection).toBe("close");
    expect(await stopped).toBe(0);
    await expect(restAsk(`${service.restUrl}/v2/health/live`, undefined, {}, { agent })).rejects.toThrow();
  }, 60_000);
});
