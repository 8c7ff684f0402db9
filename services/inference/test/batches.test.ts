import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { RpcError } from "@millrace/grpc";
import { OnnxSession } from "@millrace/tensor/onnxruntime";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { denseModel, lookUpModel, openWidthModel, rowsDependModel, scaleModel } from "./models.ts";
import { type RunningInference, startInference } from "./start-inference.ts";
import { floatRequest, floats, rawOutputs } from "./tensors.ts";

const folder = mkdtempSync(join(tmpdir(), "millrace-batches-"));
let service: RunningInference;

beforeAll(async () => {
  writeFileSync(join(folder, "dense.onnx"), denseModel());
  writeFileSync(join(folder, "rows-depend.onnx"), rowsDependModel());
  writeFileSync(join(folder, "open-width.onnx"), openWidthModel());
  writeFileSync(join(folder, "look-up.onnx"), lookUpModel());
  writeFileSync(join(folder, "scale.onnx"), scaleModel(3));
  service = await startInference(["--models", folder]);
}, 60_000);

afterAll(async () => {
  expect(await service.stop()).toBe(0);
  rmSync(folder, { recursive: true });
});

describe("a batch", () => {
  test("gives each of its rows what the row gets alone, whatever it is joined with", async () => {
    const session = await OnnxSession.create(denseModel());
    const seed = Number(process.env.MILLRACE_SEED ?? Date.now() % 2 ** 31);
    const rows = fc.integer({ min: 1, max: 5 });
    const values = (count: number) =>
      fc.array(fc.float({ min: -8, max: 8, noNaN: true }), { minLength: count, maxLength: count });
    const requests = fc.array(
      rows.chain((count) => fc.tuple(fc.constant(count), values(count * 32))),
      { minLength: 1, maxLength: 40 },
    );
    await fc.assert(
      fc.asyncProperty(requests, async (batch) => {
        const answers = await Promise.all(
          batch.map(([count, x]) => service.oip.modelInfer(floatRequest("dense", x, [count, 32]))),
        );
        for (const [index, [count, x]] of batch.entries()) {
          const data = new Uint8Array(Float32Array.from(x).buffer);
          const alone = await session.run([{ name: "x", datatype: "FP32", shape: [count, 32], data }]);
          const answer = answers[index];
          if (answer === undefined) throw new Error("no answer");
          const together = rawOutputs(answer);
          expect(together.map(({ name, shape }) => ({ name, shape }))).toEqual(
            alone.map(({ name, shape }) => ({ name, shape })),
          );
          const [score, sum] = [alone[0]?.data ?? new Uint8Array(), alone[1]?.data ?? new Uint8Array()];
          for (const [at, value] of new Float32Array(score.slice().buffer).entries()) {
            expect(floats(answer)[at]).toBeCloseTo(value, 5);
          }
          const sums = new Float64Array((together[1]?.data ?? new Uint8Array()).slice().buffer);
          for (const [at, value] of new Float64Array(sum.slice().buffer).entries())
            expect(sums[at]).toBeCloseTo(value, 4);
        }
      }),
      { numRuns: 20, seed },
    );
    await session.close();
    const { modelStats } = await service.oip.modelStatistics({ name: "dense" });
    expect(Number(modelStats[0]?.executionCount)).toBeLessThan(Number(modelStats[0]?.inferenceStats?.success?.count));
  }, 60_000);

  test("holds only requests of one shape", async () => {
    const widths = [1, 2, 3, 1, 2, 3, 1, 2, 3];
    const answers = await Promise.all(
      widths.map((width, at) => service.oip.modelInfer(floatRequest("open-width", Array(width).fill(at), [1, width]))),
    );
    expect(answers.map(floats)).toEqual(widths.map((width, at) => Array(width).fill(at)));
  });

  test("fails only the request whose values the model cannot take", async () => {
    const ask = (index: number) =>
      service.oip.modelInfer({
        modelName: "look-up",
        inputs: [{ name: "x", datatype: "INT64", shape: [1n, 1n], contents: { int64Contents: [BigInt(index)] } }],
      });
    const answers = await Promise.allSettled([0, 1, 9, 2].map(ask));
    expect(
      answers.map((answer) =>
        answer.status === "fulfilled"
          ? answer.value.outputs[0]?.contents?.fp32Contents[0]
          : (answer.reason as RpcError).reason,
      ),
    ).toEqual([10, 20, "MODEL_FAILED", 30]);
  });

  test("may be of no rows", async () => {
    const response = await service.oip.modelInfer(floatRequest("scale", [], [0, 1]));
    expect(rawOutputs(response)).toMatchObject([{ shape: [0, 1], data: new Uint8Array() }]);
  });

  test("is of one request for a model whose rows depend on each other, whatever its graph looks like", async () => {
    const { config } = await service.oip.modelConfig({ name: "rows-depend" });
    expect(config).toMatchObject({ maxBatchSize: 0, schedulingChoice: { case: undefined } });
    const answers = await Promise.all(
      [1, 2, 3].map((value) => service.oip.modelInfer(floatRequest("rows-depend", [value], [1, 1]))),
    );
    expect(answers.map(floats)).toEqual([[0], [0], [0]]);
  });
});
