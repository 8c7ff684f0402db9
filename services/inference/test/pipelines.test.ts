import { VersionStatus_State as State } from "@millrace/contracts/millrace/inference/v1/deployment_service";
import type { RpcError } from "@millrace/grpc";
import { seededRandom } from "@millrace/stats";
import { bytesOf } from "@millrace/tensor";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { examplePipelines } from "./pipeline-examples.ts";
import { eighths, PipelineService } from "./pipeline-service.ts";
import { randomPipeline } from "./random-pipeline.ts";
import { floats } from "./tensors.ts";

const seed = Number(process.env.MILLRACE_SEED ?? Date.now() % 2 ** 31);
console.log(`MILLRACE_SEED=${seed}`);
const random = seededRandom(seed);
const numbers = (count: number) => eighths(count, random);

/** Pipelines of random form over \`double\`, \`triple\` and \`add\`. */
const drawn = Array.from({ length: 12 }, (_, index) => randomPipeline(`drawn_${index}`, random));
const pipelines = new PipelineService();
const { awaitState, infer, statistics } = pipelines;

beforeAll(
  () =>
    pipelines.start([
      ...examplePipelines,
      ...drawn.map(({ name: model, declaration }) => ({ model, pipeline: declaration })),
    ]),
  60_000,
);

afterAll(async () => {
  expect(await pipelines.stop()).toBe(0);
});

describe("a pipeline", () => {
  test("answers what its models answer one by one, whatever its form and the order of its steps", async () => {
    for (const { name, inputs, byHand } of drawn) {
      for (const rows of [1, 5]) {
        const given = Object.fromEntries(inputs.map((input) => [input, numbers(rows * 2)]));
        const expected = await byHand(
          given,
          (model, own) => infer(model, own, rows) as Promise<Record<string, number[]>>,
        );
        expect(await infer(name, given, rows), name).toEqual(expected);
      }
    }
  }, 60_000);

  test("of three models and one that combines them answers their mean", async () => {
    const { score } = await infer("ensemble", { raw: [1, 2, -3, 4] }, 2);
    expect(score).toEqual([(6 * 111) / 3, (2 * 111) / 3]);
  });

  test("may be a step of another", async () => {
    expect(await infer("outer", { raw: [1, 2] }, 1)).toEqual({ score: [(6 * 111) / 3] });
  });

  test("holds a tensor whose rank no graph tells to its reader, call by call", async () => {
    const ask = (shape: readonly number[]) =>
      pipelines.service.oip.modelInfer({
        modelName: "reshaping",
        inputs: [
          { name: "x", datatype: "FP32", shape: [6n] },
          { name: "shape", datatype: "INT64", shape: [BigInt(shape.length)] },
        ],
        rawInputContents: [bytesOf(Float32Array.of(1, 2, 3, 4, 5, 6)), bytesOf(BigInt64Array.from(shape, BigInt))],
      });
    expect(floats(await ask([3, 2]))).toEqual([2, 4, 6, 8, 10, 12]);
    await expect(ask([2, 3])).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
      message: expect.stringContaining(
        "The step last (double) of the pipeline reshaping: x.shape: expected [-1, 2], got [2, 3].",
      ),
    });
  });

  test("takes no rows at all, and answers none", async () => {
    const none = { inputs: [{ name: "raw", datatype: "FP32", shape: [0n, 2n] }], rawInputContents: [new Uint8Array()] };
    const { outputs } = await pipelines.service.oip.modelInfer({ modelName: "ensemble", ...none });
    expect(outputs).toMatchObject([{ name: "score", shape: [0n, 1n] }]);
    expect(await infer("by_number", { x: [] }, 0)).toEqual({ y: [] });
  });

  test("is told of as Triton tells of an ensemble", async () => {
    expect(await pipelines.service.oip.modelMetadata({ name: "ensemble" })).toMatchObject({
      name: "ensemble",
      versions: ["1"],
      platform: "ensemble",
      inputs: [{ name: "raw", datatype: "FP32", shape: [-1n, 2n] }],
      outputs: [{ name: "score", datatype: "FP32", shape: [-1n, 1n] }],
    });
    const { config } = await pipelines.service.oip.modelConfig({ name: "ensemble" });
    expect(config).toMatchObject({ platform: "ensemble", maxBatchSize: 128, input: [{ name: "raw", dims: [2n] }] });
    expect(config?.schedulingChoice).toMatchObject({
      case: "ensembleScheduling",
      value: {
        step: [
          {
            modelName: "mean",
            modelVersion: -1n,
            inputMap: { a: "a.score", b: "second" },
            outputMap: { mean: "score" },
          },
          { modelName: "one", inputMap: { x: "prepare.y" } },
          { modelName: "ten" },
          { modelName: "hundred" },
          { modelName: "double", inputMap: { x: "raw" } },
        ],
      },
    });
    const { models: index } = await pipelines.service.oip.repositoryIndex({});
    expect(index.find(({ name }) => name === "ensemble")).toMatchObject({ version: "1", state: "READY" });
  });

  test("is what an ensemble of a Triton repository is, held to its configuration", async () => {
    expect(await infer("triton", { IN: [1, 2] }, 1)).toEqual({ OUT: [60], MID: [2, 4] });
    await expect(infer("triton", { IN: numbers(18) }, 9)).rejects.toMatchObject({ message: /at most 8/ });
    const { config } = await pipelines.service.oip.modelConfig({ name: "triton" });
    expect(config).toMatchObject({
      platform: "ensemble",
      maxBatchSize: 8,
      input: [{ name: "IN", dims: [2n] }],
      schedulingChoice: {
        case: "ensembleScheduling",
        value: { step: [{ modelName: "double" }, { modelName: "ten" }] },
      },
    });
    const status = await awaitState("misfit", State.FAILED);
    expect(status.message).toMatch(/input\[0\]\.data_type/);
  });

  test("counts its requests and rows, and times each step", async () => {
    const before = await statistics("ensemble");
    await infer("ensemble", { raw: numbers(6) }, 3);
    const after = await statistics("ensemble");
    expect(after.inferenceCount - before.inferenceCount).toBe(3n);
    expect(after.executionCount - before.executionCount).toBe(1n);
    const text = await (await fetch(pipelines.service.metricsUrl)).text();
    expect(text).toContain("# TYPE millrace_pipeline_step_seconds histogram");
    const line =
      /millrace_pipeline_step_seconds_count\{pipeline="ensemble",step="prepare",model="double".*\} (\d+)/.exec(text);
    expect(Number(line?.[1])).toBeGreaterThanOrEqual(1);
    expect(text).toMatch(
      new RegExp(
        `step_seconds_bucket\\{pipeline="ensemble",step="prepare",model="double",le="\\+Inf".*\\} ${line?.[1]}\n`,
      ),
    );
  });
});
describe("a router", () => {
  test("sends each row to the model of its text, and brings texts and numbers back in order", async () => {
    const known = ["NL", "BE", "Österreich", "DE", ""];
    const country = Array.from({ length: 40 }, () => known[Math.floor(random() * known.length)] ?? "");
    const x = numbers(40);
    const words: Record<string, string> = {
      NL: "hoi NL",
      BE: "bonjour BE",
      Österreich: "servus Österreich",
      DE: "hello DE",
    };
    expect(await infer("by_text", { country, x }, 40)).toEqual({
      greeting: country.map((text) => words[text] ?? "hello ?"),
      x,
    });
  });

  test("sends a row by its number, the first route that takes it", async () => {
    expect(await infer("by_number", { x: [-1, 10.5, 11, -0.5] }, 4)).toEqual({ y: [1, 10.5, 11, 0.5] });
  });

  test("sends a row by a bool", async () => {
    expect(await infer("by_bool", { x: [1, 2, 3], on: [true, false, true] }, 3)).toEqual({ y: [2, 1, 4] });
  });

  test("reads a tensor that no model does, as whole numbers where its routes are", async () => {
    expect(await infer("by_whole", { x: [1, 2, 3], kind: [1n, 2n, 9_007_199_254_740_993n] }, 3)).toEqual({
      y: [-1, 2, 3],
    });
  });

  test("refuses a row that no route takes, by name, place and value", async () => {
    for (const [value, text] of [
      [5, "5"],
      [Number.NaN, "NaN"],
    ] as const) {
      await expect(infer("by_number", { x: [-1, value] }, 2)).rejects.toMatchObject({
        code: "INVALID_ARGUMENT",
        reason: "TENSOR_INVALID",
        message: expect.stringContaining(
          `The step chosen (router) of the pipeline by_number: x[1]: expected a value that a route takes: less than 0, at least 10.5, got ${text}.`,
        ),
      });
    }
  });
});

describe("a call that fails", () => {
  test("keeps the code and the reason of the step, which is named, and is counted", async () => {
    await expect(infer("failing", { index: [0n, 7n] }, 2)).rejects.toMatchObject({
      code: "INTERNAL",
      reason: "MODEL_FAILED",
      message: expect.stringContaining("The step look (table) of the pipeline failing:"),
      metadata: expect.objectContaining({ pipeline: "failing", step: "look" }),
    });
    expect(await infer("failing", { index: [0n, 2n] }, 2)).toEqual({ y: [10, 30] });
    expect(await (await fetch(pipelines.service.metricsUrl)).text()).toMatch(
      /millrace_pipeline_step_failures_total\{pipeline="failing",step="look",model="table",code="INTERNAL".*\} 1/,
    );
  });

  test("is refused for inputs that do not fit, by the names of the pipeline's inputs", async () => {
    await expect(infer("ensemble", { raw: numbers(3) }, 1)).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
      message: expect.stringContaining("raw.shape: expected [-1, 2], got [1, 3]"),
    });
    await expect(infer("ensemble", { raw: numbers(258) }, 129)).rejects.toMatchObject({
      message: expect.stringContaining("at most 128"),
    });
    await expect(infer("ensemble", { x: numbers(2) }, 1)).rejects.toMatchObject({
      message: expect.stringContaining("raw: expected an input of FP32, got none"),
    });
  });

  test("ends when the caller's time is over, and what it has in queues is not run", async () => {
    const call = (options: object) =>
      pipelines.service.oip.modelInfer(
        {
          modelName: "patient",
          inputs: [{ name: "x", datatype: "FP32", shape: [1n] }],
          rawInputContents: [bytesOf(Float32Array.of(1))],
        },
        options,
      );
    const before = await statistics("slow");
    const calls = Array.from({ length: 20 }, () => call({ timeoutMs: 40 }));
    const ended = await Promise.allSettled(calls);
    expect(ended.filter(({ status }) => status === "rejected").length).toBeGreaterThan(0);
    for (const result of ended) {
      if (result.status === "fulfilled") continue;
      // Where its turn would come after the deadline it is refused at once.
      expect(["DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED"]).toContain((result.reason as RpcError).code);
    }
    // The queue is first in, first out: what came before this call and was to run has run when it is answered.
    await call({ timeoutMs: 20_000 });
    const after = await statistics("slow");
    expect(after.executionCount - before.executionCount).toBeLessThan(42n);
  }, 30_000);
});
