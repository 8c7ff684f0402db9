import { existsSync } from "node:fs";
import { create } from "@bufbuild/protobuf";
import { type Golden, GoldenSchema } from "@millrace/contracts/millrace/model/v1/model_package";
import { Registry } from "prom-client";
import { afterEach, describe, expect, test } from "vitest";
import { floatRows, inferred } from "../../test/lane-of.ts";
import { loopModel } from "../../test/loop-model.ts";
import { scaleModel } from "../../test/models.ts";
import { instancesBytes, MemoryBudget } from "../execution/memory-budget.ts";
import { registerInferenceMetrics } from "./inference-metrics.ts";
import { loadVersion, type ServingOptions } from "./load-version.ts";
import { ModelRoster } from "./model-roster.ts";
import { defaultPolicy } from "./servable.ts";
import type { ServedVersion } from "./served-version.ts";

const usual: ServingOptions = {
  maxBatchSize: 8,
  maxQueueDelayMs: 0,
  maxQueueSize: 100,
  instances: 1,
  intraOpThreads: 1,
  maxRunTimeMs: 60_000,
};
const model = scaleModel(2);
const oneMb = instancesBytes(model.length, 1);
const versions: ServedVersion[] = [];

const load = async (
  version: string,
  options: Partial<ServingOptions> = {},
  bytes: Uint8Array = model,
  golden?: Golden,
): Promise<ServedVersion> => {
  const served = await loadVersion(
    {
      name: "scale",
      version,
      origin: { reference: "test", digest: "", repository: "", manifest: undefined },
      model: bytes,
      golden,
      options: { ...usual, ...options },
      policy: defaultPolicy,
    },
    { onState() {}, onJoining() {} },
  );
  versions.push(served);
  return served;
};

afterEach(async () => {
  for (const version of versions.splice(0)) await version.retire();
});

describe("the memory budget", () => {
  const silent = { onLost() {}, onWedged() {}, onReplaced() {}, onFailed() {} };
  const shared = (instances: number) => ({
    memory: new MemoryBudget(instances * oneMb),
    instances: () => silent,
  });

  test("refuses a load beyond it and names both figures; what serves goes on, and what retires makes room", async () => {
    const options = { shared: shared(1.5) };
    const first = await load("1", options);
    expect(options.shared.memory.takenBytes).toBe(first.memoryBytes);
    await expect(load("2", options)).rejects.toMatchObject({
      code: "RESOURCE_EXHAUSTED",
      reasonName: "MEMORY_BUDGET",
      message: expect.stringMatching(
        /^Version 2 of the model scale would take about [\d.]+ MiB, and [\d.]+ MiB are left of the budget of [\d.]+ MiB\.$/,
      ),
    });
    expect(await inferred(first.lane, floatRows(1))).toHaveLength(1);
    await first.retire();
    expect(options.shared.memory.takenBytes).toBe(0);
    await load("2", options);
  }, 30_000);

  test("gives back what a load took that failed", async () => {
    const options = { shared: shared(2), executionProviders: ["nonsense"] };
    await expect(load("1", options)).rejects.toMatchObject({ reasonName: "MODEL_INVALID" });
    expect(options.shared.memory.takenBytes).toBe(0);
  }, 30_000);

  test("gives back what a load took whose bytes cannot be copied", async () => {
    const options = { shared: shared(2) };
    const gone = new Uint8Array(8);
    gone.buffer.transfer();
    await expect(load("1", options, gone)).rejects.toThrow(TypeError);
    expect(options.shared.memory.takenBytes).toBe(0);
  });

  test("is given back by a load whose golden run takes too long when that returns; the error does not wait", async () => {
    const options = { shared: shared(10), maxRunTimeMs: 60 };
    const golden = create(GoldenSchema, {
      examples: [
        {
          inputs: [
            { name: "n", datatype: "INT64", shape: [1n], data: new Uint8Array(BigInt64Array.of(1_000_000n).buffer) },
          ],
        },
      ],
    });
    await expect(load("1", options, loopModel(), golden)).rejects.toMatchObject({
      code: "UNAVAILABLE",
      reasonName: "MODEL_NOT_READY",
    });
    expect(options.shared.memory.takenBytes).toBeGreaterThan(0);
    while (options.shared.memory.takenBytes > 0) await new Promise((resolve) => setTimeout(resolve, 20));
  }, 30_000);

  test("counts each instance", async () => {
    await expect(load("1", { instances: 3, shared: shared(2) })).rejects.toMatchObject({ reasonName: "MEMORY_BUDGET" });
  });
});

describe.skipIf(existsSync("/dev/nvidia0"))("execution providers", () => {
  test("that are not there are passed over, and it is said", async () => {
    const { executionProvider } = await load("1", { executionProviders: ["cuda", "cpu"] });
    expect(executionProvider.name).toBe("cpu");
    expect(executionProvider.reason).toMatch(/^cuda was asked for first and is not available: /);
  }, 30_000);

  test("fail the load where none is there", async () => {
    await expect(load("1", { executionProviders: ["cuda"] })).rejects.toMatchObject({
      reasonName: "MODEL_INVALID",
      message: expect.stringMatching(/cuda is not available/),
    });
  }, 30_000);
});

test("metrics have Triton's names and what a model did", async () => {
  const registry = new Registry();
  const roster = new ModelRoster();
  registerInferenceMetrics(registry, roster);
  const served = await load("1", { cacheBytes: 1 << 20 });
  await roster.serve("scale", roster.begin("scale", "1", "test"), served);
  for (const value of [1, 1, 2]) await inferred(served.lane, floatRows(value));
  const text = await registry.metrics();
  const labels = '{model="scale",version="1"}';
  expect(text.split("\n")).toEqual(
    expect.arrayContaining([
      `nv_inference_request_success${labels} 3`,
      `nv_inference_count${labels} 3`,
      `nv_inference_exec_count${labels} 2`,
      `nv_cache_num_hits_per_model${labels} 1`,
      `nv_cache_num_misses_per_model${labels} 2`,
      "# TYPE nv_inference_first_response_histogram_ms histogram",
      "# TYPE millrace_inference_request_seconds histogram",
      'nv_inference_first_response_histogram_ms_bucket{model="scale",version="1",le="+Inf"} 3',
      `millrace_inference_request_seconds_count${labels} 3`,
      'millrace_inference_queue_seconds_bucket{model="scale",version="1",le="10"} 2',
      'millrace_inference_instances_total{model="scale",version="1",event="lost"} 0',
    ]),
  );
  expect(text).toMatch(/nv_inference_first_response_histogram_ms_bucket{model="scale",version="1",le="100"} \d/);
  for (const name of ["nv_cpu_utilization", "nv_cpu_memory_total_bytes", "nv_cpu_memory_used_bytes"]) {
    expect(text).toMatch(new RegExp(`^${name} [\\d.e+]+$`, "m"));
  }
  for (const name of ["nv_cache_hit_duration_per_model", "nv_cache_miss_duration_per_model"]) {
    expect(text).toContain(`${name}${labels}`);
  }
}, 30_000);
