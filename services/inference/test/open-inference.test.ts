import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type RpcError, RpcError as RpcErrorClass } from "@millrace/grpc";
import { type Datatype, elementBytes, encodeStrings, toTypedContents } from "@millrace/tensor";
import { OnnxSession } from "@millrace/tensor/onnxruntime";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  denseModel,
  identityModel,
  lookUpModel,
  openWidthModel,
  rowsDependModel,
  scaleModel,
  slowModel,
} from "./models.ts";
import { type RunningInference, startInference } from "./start-inference.ts";
import { floatRequest, floats, rawOutputs } from "./tensors.ts";

const datatypes = Object.keys(elementBytes) as Datatype[];
const folder = mkdtempSync(join(tmpdir(), "millrace-inference-"));
let service: RunningInference;

beforeAll(async () => {
  for (const datatype of datatypes) writeFileSync(join(folder, `identity-${datatype}.onnx`), identityModel(datatype));
  writeFileSync(join(folder, "dense.onnx"), denseModel());
  writeFileSync(join(folder, "rows-depend.onnx"), rowsDependModel());
  writeFileSync(join(folder, "open-width.onnx"), openWidthModel());
  writeFileSync(join(folder, "look-up.onnx"), lookUpModel());
  writeFileSync(join(folder, "slow.onnx"), slowModel(3));
  writeFileSync(join(folder, "slower.onnx"), slowModel(100));
  writeFileSync(join(folder, "broken.onnx"), Uint8Array.of(1, 2, 3));
  for (const version of ["1", "3"]) {
    mkdirSync(join(folder, "scale", version), { recursive: true });
    writeFileSync(join(folder, "scale", version, "model.onnx"), scaleModel(Number(version)));
  }
  service = await startInference(["--models", folder, "--max-queue-size", "256"]);
}, 60_000);

afterAll(async () => {
  expect(await service.stop()).toBe(0);
  rmSync(folder, { recursive: true });
});

const someBytes = (datatype: Datatype) =>
  datatype === "BYTES"
    ? encodeStrings(["a", "", "é", "\u{1f600}"])
    : Uint8Array.from({ length: 4 * elementBytes[datatype] }, (_, at) => at % 2);

describe("the server", () => {
  test("is live and ready, and names itself and what it serves", async () => {
    expect(await service.oip.serverLive({})).toMatchObject({ live: true });
    expect(await service.oip.serverReady({})).toMatchObject({ ready: true });
    const { name, extensions } = await service.oip.serverMetadata({});
    expect(name).toBe("millrace");
    expect(extensions).toContain("statistics");
  });

  test("lists its models, with the reason why one does not serve", async () => {
    const { models } = await service.oip.repositoryIndex({});
    expect(models).toContainEqual(expect.objectContaining({ name: "scale", version: "3", state: "READY" }));
    expect(models).toContainEqual(
      expect.objectContaining({
        name: "broken",
        state: "UNAVAILABLE",
        reason: expect.stringMatching(/cannot be loaded/),
      }),
    );
    const { models: ready } = await service.oip.repositoryIndex({ ready: true });
    expect(ready.every(({ state }) => state === "READY")).toBe(true);
  });

  test("says of a model what it takes, where it runs, and how it is batched", async () => {
    const metadata = await service.oip.modelMetadata({ name: "dense" });
    expect(metadata).toMatchObject({ platform: "onnxruntime_onnx", versions: ["1"] });
    expect(metadata.inputs).toMatchObject([{ name: "x", datatype: "FP32", shape: [-1n, 32n] }]);
    expect(metadata.properties).toMatchObject({ execution_provider: "cpu" });
    const { config } = await service.oip.modelConfig({ name: "dense" });
    expect(config).toMatchObject({ maxBatchSize: 128, schedulingChoice: { case: "dynamicBatching" } });
    expect(config?.input).toMatchObject([{ name: "x", dims: [32n] }]);
  });

  test("joins no requests to a model whose rows depend on each other, whatever its graph looks like", async () => {
    const { config } = await service.oip.modelConfig({ name: "rows-depend" });
    expect(config).toMatchObject({ maxBatchSize: 0, schedulingChoice: { case: undefined } });
    const answers = await Promise.all(
      [1, 2, 3].map((value) => service.oip.modelInfer(floatRequest("rows-depend", [value], [1, 1]))),
    );
    expect(answers.map(floats)).toEqual([[0], [0], [0]]);
  });
});

describe.each(datatypes)("a tensor of %s", (datatype) => {
  test("goes in and out raw", async () => {
    const data = someBytes(datatype);
    const response = await service.oip.modelInfer({
      modelName: `identity-${datatype}`,
      id: "42",
      inputs: [{ name: "x", datatype, shape: [2n, 2n] }],
      rawInputContents: [data],
    });
    expect(response).toMatchObject({ id: "42", modelName: `identity-${datatype}`, modelVersion: "1" });
    expect(rawOutputs(response)).toEqual([{ name: "y", datatype, shape: [2, 2], data }]);
  });

  test.skipIf(datatype === "FP16")("goes in and out typed", async () => {
    const contents = toTypedContents({ name: "x", datatype, shape: [2, 2], data: someBytes(datatype) });
    const response = await service.oip.modelInfer({
      modelName: `identity-${datatype}`,
      inputs: [{ name: "x", datatype, shape: [2n, 2n], ...(contents === undefined ? {} : { contents }) }],
    });
    expect(response.rawOutputContents).toEqual([]);
    expect(response.outputs[0]?.contents).toMatchObject(contents ?? {});
  });
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
});

describe("a request chooses", () => {
  test("its outputs, in its order", async () => {
    const request = {
      ...floatRequest("dense", Array(32).fill(0.5), [1, 32]),
      outputs: [{ name: "sum" }, { name: "score" }],
    };
    expect(rawOutputs(await service.oip.modelInfer(request)).map(({ name }) => name)).toEqual(["sum", "score"]);
  });

  test("the version in force, by its number or by none", async () => {
    for (const modelVersion of ["", "3"]) {
      const response = await service.oip.modelInfer({ ...floatRequest("scale", [2], [1, 1]), modelVersion });
      expect(response.modelVersion).toBe("3");
      expect(floats(response)).toEqual([6]);
    }
  });
});

const x = (value: object) => ({
  modelName: "scale",
  inputs: [{ name: "x", datatype: "FP32", shape: [1n, 1n], ...value }],
});
const raw = (bytes: number) => ({ rawInputContents: [new Uint8Array(bytes)] });

describe("bad input is refused with its name, what was expected and what came", () => {
  test.each([
    ["an unknown model", { modelName: "nobody" }, "NOT_FOUND", "MODEL_UNKNOWN", /There is no model nobody/],
    [
      "an unknown version",
      { ...x({}), modelVersion: "7" },
      "NOT_FOUND",
      "MODEL_UNKNOWN",
      /version 7 of the model scale/,
    ],
    ["a version that is no number", { ...x({}), modelVersion: "v1" }, "INVALID_ARGUMENT", "FIELD_INVALID", /got v1/],
    ["a model that failed to load", { modelName: "broken" }, "UNAVAILABLE", "MODEL_NOT_READY", /cannot be loaded/],
    [
      "a missing input",
      { modelName: "scale" },
      "INVALID_ARGUMENT",
      "TENSOR_INVALID",
      /x: expected an input of FP32, got none/,
    ],
    [
      "an unknown input",
      {
        modelName: "scale",
        inputs: ["x", "z"].map((name) => ({ name, datatype: "FP32", shape: [1n, 1n] })),
        rawInputContents: [new Uint8Array(4), new Uint8Array(4)],
      },
      "INVALID_ARGUMENT",
      "TENSOR_INVALID",
      /z: expected one of the model's inputs: x, got an unknown input/,
    ],
    [
      "an unknown datatype",
      { ...x({ datatype: "BF16" }), ...raw(2) },
      "INVALID_ARGUMENT",
      "TENSOR_INVALID",
      /x.datatype: .*got BF16/,
    ],
    [
      "another datatype",
      { ...x({ datatype: "FP64" }), ...raw(8) },
      "INVALID_ARGUMENT",
      "TENSOR_INVALID",
      /x.datatype: expected FP32, got FP64/,
    ],
    [
      "another rank",
      { ...x({ shape: [1n] }), ...raw(4) },
      "INVALID_ARGUMENT",
      "TENSOR_INVALID",
      /x.shape: expected \[-1, 1\], got \[1\]/,
    ],
    [
      "another dimension",
      { ...x({ shape: [1n, 2n] }), ...raw(8) },
      "INVALID_ARGUMENT",
      "TENSOR_INVALID",
      /x.shape: expected \[-1, 1\], got \[1, 2\]/,
    ],
    [
      "a negative dimension",
      { ...x({ shape: [-1n, 1n] }), ...raw(4) },
      "INVALID_ARGUMENT",
      "TENSOR_INVALID",
      /x.shape: expected dimensions of 0 or more, got -1/,
    ],
    [
      "too few bytes",
      { ...x({ shape: [2n, 1n] }), ...raw(7) },
      "INVALID_ARGUMENT",
      "TENSOR_INVALID",
      /x: expected 8 bytes .*got 7 bytes/,
    ],
    [
      "too many rows",
      { ...x({ shape: [129n, 1n] }), ...raw(516) },
      "INVALID_ARGUMENT",
      "TENSOR_INVALID",
      /at most 128 \(max_batch_size\), got 129/,
    ],
    ["an absurd shape", x({ shape: [2n ** 40n, 2n ** 40n] }), "INVALID_ARGUMENT", "TENSOR_INVALID", /x.shape/],
    [
      "raw and typed at once",
      { ...x({ contents: { fp32Contents: [1] } }), ...raw(4) },
      "INVALID_ARGUMENT",
      "TENSOR_INVALID",
      /x.contents/,
    ],
    [
      "values in another field",
      x({ contents: { fp64Contents: [1] } }),
      "INVALID_ARGUMENT",
      "TENSOR_INVALID",
      /expected fp32_contents .*got 1 values in fp64_contents/,
    ],
    [
      "too many values",
      x({ contents: { fp32Contents: [1, 2] } }),
      "INVALID_ARGUMENT",
      "TENSOR_INVALID",
      /x.contents: expected 1 values .*got 2 values/,
    ],
    [
      "an unknown output",
      { ...x({}), ...raw(4), outputs: [{ name: "z" }] },
      "INVALID_ARGUMENT",
      "TENSOR_INVALID",
      /outputs.z: expected one of the model's outputs: y/,
    ],
    [
      "an output in shared memory",
      {
        ...x({}),
        ...raw(4),
        outputs: [
          {
            name: "y",
            parameters: {
              shared_memory_region: { parameterChoice: { case: "stringParam" as const, value: "a" } },
              shared_memory_byte_size: { parameterChoice: { case: "int64Param" as const, value: 4n } },
            },
          },
        ],
      },
      "UNIMPLEMENTED",
      "UNIMPLEMENTED",
      /shared memory is off: the setting systemSharedMemory turns it on/,
    ],
    [
      "a parameter of another type",
      {
        ...x({}),
        ...raw(4),
        parameters: { timeout: { parameterChoice: { case: "stringParam" as const, value: "1s" } } },
      },
      "INVALID_ARGUMENT",
      "FIELD_INVALID",
      /parameters.timeout: expected int64_param or uint64_param, got string_param/,
    ],
    [
      "a string with a NUL",
      {
        modelName: "identity-BYTES",
        inputs: [
          {
            name: "x",
            datatype: "BYTES",
            shape: [1n, 2n],
            contents: { bytesContents: [Uint8Array.of(97, 0), Uint8Array.of(97)] },
          },
        ],
      },
      "INVALID_ARGUMENT",
      "TENSOR_INVALID",
      /x\[0\]: expected text without NUL/,
    ],
  ])("%s", async (_, request, code, reason, message) => {
    const answer = await service.oip.modelInfer(request).catch((error: unknown) => error);
    expect(answer).toBeInstanceOf(RpcErrorClass);
    expect(answer).toMatchObject({ code, reason, message: expect.stringMatching(message) });
  });
});

describe("a stream", () => {
  test("answers in order, and stays open when a request fails", async () => {
    async function* requests() {
      yield { ...floatRequest("scale", [1], [1, 1]), id: "a" };
      yield { ...floatRequest("nobody", [1], [1, 1]), id: "b" };
      yield { ...floatRequest("scale", [2], [1, 2]), id: "c" };
      yield { ...floatRequest("scale", [2], [1, 1]), id: "d" };
    }
    const seen: [string, string, number[]][] = [];
    for await (const { errorMessage, inferResponse } of service.oip.modelStreamInfer(requests())) {
      expect(inferResponse?.parameters.triton_final_response?.parameterChoice).toEqual({
        case: "boolParam",
        value: true,
      });
      seen.push([inferResponse?.id ?? "", errorMessage, inferResponse === undefined ? [] : floats(inferResponse)]);
    }
    expect(seen).toEqual([
      ["a", "", [3]],
      ["b", expect.stringMatching(/no model nobody/), []],
      ["c", expect.stringMatching(/x.shape/), []],
      ["d", "", [6]],
    ]);
  });
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
});

describe("a model is loaded and unloaded by call", () => {
  test("anew where its file has changed, without a failed request", async () => {
    let stop = false;
    const seen = new Set<number>();
    const load = async () => {
      while (!stop)
        for (const value of floats(await service.oip.modelInfer(floatRequest("scale", [1], [1, 1])))) seen.add(value);
    };
    const callers = Array.from({ length: 8 }, load);
    for (const factor of [5, 6, 7]) {
      writeFileSync(join(folder, "scale", "3", "model.onnx"), scaleModel(factor));
      await service.oip.repositoryModelLoad({ modelName: "scale" });
      expect(floats(await service.oip.modelInfer(floatRequest("scale", [1], [1, 1])))).toEqual([factor]);
    }
    stop = true;
    await Promise.all(callers);
    expect([...seen].every((value) => [3, 5, 6, 7].includes(value))).toBe(true);
  }, 60_000);

  test("and keeps its version in force when the new file is broken", async () => {
    writeFileSync(join(folder, "scale", "3", "model.onnx"), Uint8Array.of(1));
    await expect(service.oip.repositoryModelLoad({ modelName: "scale" })).rejects.toMatchObject({
      reason: "MODEL_INVALID",
    });
    expect(floats(await service.oip.modelInfer(floatRequest("scale", [1], [1, 1])))).toEqual([7]);
  });

  test("and is not found after its unload", async () => {
    await service.oip.repositoryModelUnload({ modelName: "open-width" });
    await expect(service.oip.modelInfer(floatRequest("open-width", [1], [1, 1]))).rejects.toMatchObject({
      code: "NOT_FOUND",
    });
    await expect(service.oip.modelReady({ name: "open-width" })).rejects.toMatchObject({ code: "NOT_FOUND" });
  });
});

test("metrics have Triton's names, and count requests, rows and runs apart", async () => {
  await service.oip.modelInfer(floatRequest("dense", Array(64).fill(1), [2, 32]));
  const text = await (await fetch(service.metricsUrl)).text();
  const value = (name: string) =>
    Number(new RegExp(`^${name}\\{model="dense",version="1"\\} (\\S+)$`, "m").exec(text)?.[1]);
  const [success, count, executions] = [
    "nv_inference_request_success",
    "nv_inference_count",
    "nv_inference_exec_count",
  ].map(value);
  expect(success).toBeGreaterThan(0);
  expect(count).toBeGreaterThan(success ?? 0);
  expect(executions).toBeLessThanOrEqual(success ?? 0);
  expect(text).toMatch(/millrace_inference_batch_closed_total\{model="dense",version="1",reason="QUEUE_EMPTY"\}/);
});
