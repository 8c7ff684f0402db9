import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { RpcError } from "@millrace/grpc";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { identityModel, scaleModel } from "./models.ts";
import { type RunningInference, startInference } from "./start-inference.ts";

const folder = mkdtempSync(join(tmpdir(), "millrace-bad-input-"));
let service: RunningInference;

beforeAll(async () => {
  writeFileSync(join(folder, "scale.onnx"), scaleModel(3));
  writeFileSync(join(folder, "identity-BYTES.onnx"), identityModel("BYTES"));
  writeFileSync(join(folder, "broken.onnx"), Uint8Array.of(1, 2, 3));
  service = await startInference(["--models", folder]);
}, 60_000);

afterAll(async () => {
  expect(await service.stop()).toBe(0);
  rmSync(folder, { recursive: true });
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
      "a parameter of a reserved name",
      {
        ...x({}),
        ...raw(4),
        parameters: { triton_x: { parameterChoice: { case: "boolParam" as const, value: true } } },
      },
      "INVALID_ARGUMENT",
      "FIELD_INVALID",
      /parameters.triton_x: expected a parameter that is known; the prefix triton_ is reserved/,
    ],
    [
      "a time in the queue below 0",
      {
        ...x({}),
        ...raw(4),
        parameters: { timeout: { parameterChoice: { case: "int64Param" as const, value: -1n } } },
      },
      "INVALID_ARGUMENT",
      "FIELD_INVALID",
      /parameters.timeout: expected microseconds, 0 or more, got -1/,
    ],
    [
      "no classes at all",
      {
        ...x({}),
        ...raw(4),
        outputs: [
          {
            name: "y",
            parameters: { classification: { parameterChoice: { case: "int64Param" as const, value: 0n } } },
          },
        ],
      },
      "INVALID_ARGUMENT",
      "FIELD_INVALID",
      /y.parameters.classification: expected a number of classes, 1 or more, got 0/,
    ],
    [
      "a size in shared memory without a region",
      x({ parameters: { shared_memory_byte_size: { parameterChoice: { case: "int64Param" as const, value: 4n } } } }),
      "INVALID_ARGUMENT",
      "FIELD_INVALID",
      /x.parameters.shared_memory_byte_size: expected shared_memory_region beside it, got none/,
    ],
    [
      "text whose length points beyond its end",
      {
        modelName: "identity-BYTES",
        inputs: [{ name: "x", datatype: "BYTES", shape: [1n, 2n] }],
        rawInputContents: [Uint8Array.of(255, 255, 255, 255, 97)],
      },
      "INVALID_ARGUMENT",
      "TENSOR_INVALID",
      /x: expected element 0 to end within the 5 bytes of the tensor, got a length of 4294967295 bytes/,
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
    expect(answer).toBeInstanceOf(RpcError);
    expect(answer).toMatchObject({ code, reason, message: expect.stringMatching(message) });
  });
});
