import { VersionStatus_State as State } from "@millrace/contracts/millrace/inference/v1/deployment_service";
import { seededRandom } from "@millrace/stats";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { scaleModel } from "./models.ts";
import { examplePipelines, pipeline } from "./pipeline-examples.ts";
import { affineModel, sumModel } from "./pipeline-models.ts";
import { eighths, PipelineService } from "./pipeline-service.ts";

const seed = Number(process.env.MILLRACE_SEED ?? Date.now() % 2 ** 31);
console.log(`MILLRACE_SEED=${seed}`);
const random = seededRandom(seed);
const numbers = (count: number) => eighths(count, random);

const pipelines = new PipelineService();
const { awaitState, declare, infer, putModel, statistics } = pipelines;

beforeAll(() => pipelines.start(examplePipelines), 60_000);

afterAll(async () => {
  expect(await pipelines.stop()).toBe(0);
});

describe("under load", () => {
  test("calls of pipelines and direct ones are joined in one lane, and rows are never mixed up", async () => {
    const before = await statistics("double");
    const one = async (index: number) => {
      const rows = 1 + (index % 4);
      const raw = numbers(rows * 2);
      if (index % 3 === 0) {
        expect((await infer("double", { x: raw }, rows)).y).toEqual(raw.map((value) => value * 2));
        return;
      }
      if (index % 5 === 0) {
        const country = Array.from({ length: rows }, (_, row) => ["NL", "BE", "DE"][(index + row) % 3] ?? "");
        const words: Record<string, string> = { NL: "hoi NL", BE: "bonjour BE", DE: "hello DE" };
        const x = raw.slice(0, rows);
        expect(await infer("by_text", { country, x }, rows)).toEqual({
          greeting: country.map((text) => words[text]),
          x,
        });
        return;
      }
      const { score = [] } = await infer("ensemble", { raw }, rows);
      for (let row = 0; row < rows; row++) {
        const sum = 2 * ((raw[row * 2] ?? 0) + (raw[row * 2 + 1] ?? 0));
        expect(score[row]).toBeCloseTo(sum * 37, 1);
      }
    };
    await Promise.all(Array.from({ length: 300 }, (_, index) => one(index)));
    const after = await statistics("double");
    expect(after.inferenceStats?.success?.count).toBeGreaterThan(before.inferenceStats?.success?.count ?? 0n);
    expect(after.executionCount - before.executionCount).toBeLessThan(300n);
  }, 30_000);

  test("a step's model is swapped without a failed call", async () => {
    let stop = false;
    const seen = new Set<number>();
    const call = async () => {
      while (!stop) {
        const { score = [] } = await infer("outer", { raw: [1, 0] }, 1);
        seen.add(Number(score[0]) / 74);
      }
    };
    const callers = Array.from({ length: 8 }, call);
    for (const factor of [2, 3, 4]) {
      putModel("swapped", scaleModel(factor));
      await pipelines.service.oip.repositoryModelLoad({ modelName: "swapped" });
      expect(await infer("outer", { raw: [1, 0] }, 1)).toEqual({ score: [74 * factor] });
    }
    stop = true;
    await Promise.all(callers);
    expect([...seen].every((factor) => [1, 2, 3, 4].includes(factor))).toBe(true);
  }, 60_000);

  test("a pipeline itself is declared anew without a failed call", async () => {
    const chain = (length: number) =>
      pipeline(
        "chain",
        `{ version: ${length}, outputs: { y: s${length}.y }, steps: [{ name: s1, model: triple }, ${Array.from({ length: length - 1 }, (_, at) => `{ name: s${at + 2}, model: triple, inputs: { x: s${at + 1}.y } }`).join(", ")}] }`,
      );
    const tripled = (times: number): number => (times === 0 ? 1 : tripled(times - 1) * 3 + 1);
    const declareChain = async (length: number) => {
      declare([...examplePipelines, chain(length)]);
      for (;;) {
        const found = await pipelines.service.oip.modelMetadata({ name: "chain" }).catch(() => undefined);
        if (found?.versions.at(-1) === String(length)) return;
      }
    };
    await declareChain(2);
    let stop = false;
    const seen = new Set<number>();
    const callers = Array.from({ length: 6 }, async () => {
      while (!stop) seen.add(Number((await infer("chain", { x: [1, 1] }, 1)).y?.[0]));
    });
    for (const length of [3, 4, 5]) await declareChain(length);
    stop = true;
    await Promise.all(callers);
    expect([...seen].every((value) => [2, 3, 4, 5].map(tripled).includes(value))).toBe(true);
    expect(await infer("chain", { x: [1, 1] }, 1)).toEqual({ y: [tripled(5), tripled(5)] });
  }, 60_000);
});

describe("where a step's model", () => {
  test("is unloaded, the pipeline is not ready and says why, and serves again when it is back", async () => {
    await pipelines.service.oip.repositoryModelUnload({ modelName: "hundred" });
    const status = await awaitState("ensemble", State.FAILED);
    expect(status).toMatchObject({
      reason: "MODEL_NOT_READY",
      message: expect.stringContaining("The step c: There is no model hundred."),
    });
    expect(await pipelines.service.oip.modelReady({ name: "ensemble" })).toMatchObject({ ready: false });
    expect(await pipelines.service.oip.serverReady({})).toMatchObject({ ready: true });
    await expect(infer("ensemble", { raw: [1, 2] }, 1)).rejects.toMatchObject({
      code: "UNAVAILABLE",
      message: expect.stringContaining("The step c: There is no model hundred."),
    });
    await awaitState("outer", State.FAILED, /The step inner: Version 1 of the model ensemble is unavailable/);
    const { models: index } = await pipelines.service.oip.repositoryIndex({});
    expect(index.find(({ name }) => name === "ensemble")).toMatchObject({ state: "UNAVAILABLE" });
    await pipelines.service.oip.repositoryModelLoad({ modelName: "hundred" });
    await awaitState("outer", State.READY);
    expect((await infer("ensemble", { raw: [1, 2] }, 1)).score).toEqual([222]);
  }, 30_000);

  test("changes what it takes, the pipeline says which field no longer fits", async () => {
    putModel("hundred", sumModel(100, 5));
    await pipelines.service.oip.repositoryModelLoad({ modelName: "hundred" });
    const status = await awaitState("ensemble", State.FAILED);
    expect(status).toMatchObject({
      reason: "DECLARATION_INVALID",
      message: expect.stringMatching(
        /deployments\[0\]\.pipeline\.steps\[3\]\.inputs\.x: expected FP32 \[-1, 5\], got FP32 \[-1, 2\] \(prepare\.y of the step prepare\)/,
      ),
    });
    putModel("hundred", sumModel(100));
    await pipelines.service.oip.repositoryModelLoad({ modelName: "hundred" });
    await awaitState("ensemble", State.READY);
  }, 30_000);
});

describe("a pipeline whose callers' tensors follow from a model that changes", () => {
  test("takes the new ones from then on, under the same name and version", async () => {
    expect(await infer("followed", { x: [1, 2] }, 1)).toEqual({ y: [2, 4] });
    putModel("follows", affineModel(2, 0, 3));
    await pipelines.service.oip.repositoryModelLoad({ modelName: "follows" });
    expect(await infer("followed", { x: [1, 2, 3] }, 1)).toEqual({ y: [2, 4, 6] });
    const { versions } = (await pipelines.service.deployments.getStatus({ model: "followed" })).deployments[0] ?? {};
    expect(versions?.map(({ state }) => state)).toEqual([State.UNLOADED, State.READY]);
  });
});
