import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { lookUpModel, scaleModel } from "./models.ts";
import { restAsk, restBytes } from "./rest-ask.ts";
import { type RunningInference, startInference } from "./start-inference.ts";

const folder = mkdtempSync(join(tmpdir(), "millrace-rest-"));
let service: RunningInference;

beforeAll(async () => {
  writeFileSync(join(folder, "scale.onnx"), scaleModel(3));
  writeFileSync(join(folder, "look-up.onnx"), lookUpModel());
  service = await startInference(["--models", folder, "--max-receive-bytes", "100000"]);
}, 60_000);

afterAll(async () => {
  expect(await service.stop()).toBe(0);
  rmSync(folder, { recursive: true });
});

const ask = (path: string, body?: unknown, headers: Record<string, string> = {}) =>
  restAsk(`${service.restUrl}/v2/${path}`, body, headers);

describe("what REST cannot answer is named", () => {
  const infer = "models/scale/infer";
  const input = (changes: object) => ({
    inputs: [{ name: "x", datatype: "FP32", shape: [1, 1], data: [1], ...changes }],
  });
  test.each<[string, string, unknown, number, RegExp]>([
    ["no JSON", infer, "{", 400, /^body: expected JSON, got /],
    ["JSON of another kind", infer, "[]", 400, /^body: expected a JSON object, got an array of 0/],
    ["no inputs", infer, {}, 400, /^inputs: expected an array of objects, got nothing/],
    ["an input that is no object", infer, { inputs: [1] }, 400, /^inputs\[0\]: expected an object, got 1/],
    ["an input without a name", infer, input({ name: 1 }), 400, /^inputs\[0\].name: expected text, got 1/],
    ["an unknown datatype", infer, input({ datatype: "BF16" }), 400, /^x.datatype: .* got BF16/],
    ["a shape that is none", infer, input({ shape: ["a"] }), 400, /^x.shape: .* got an array with "a"/],
    [
      "a negative dimension",
      infer,
      input({ shape: [-1, 1] }),
      400,
      /^x.shape: expected dimensions of 0 or more, got -1/,
    ],
    ["an absurd shape", infer, input({ shape: [2 ** 40, 2 ** 40] }), 400, /^x.shape: expected a size that fits memory/],
    ["another shape than the model's", infer, input({ shape: [1] }), 400, /^x.shape: expected \[-1, 1\], got \[1\]/],
    ["too few elements", infer, input({ shape: [2, 1] }), 400, /^x.data: expected 2 elements .*got 1/],
    [
      "an element of another kind",
      infer,
      input({ data: ["1"] }),
      400,
      /^x.data\[0\]: expected a number that fits FP32, got "1"/,
    ],
    ["no data at all", infer, input({ data: undefined }), 400, /^x: expected exactly one of data, .* got none/],
    [
      "data and bytes",
      infer,
      input({ parameters: { binary_data_size: 4 } }),
      400,
      /^x: expected exactly one of data, .* got more than one/,
    ],
    [
      "bytes without the header",
      infer,
      input({ data: undefined, parameters: { binary_data_size: 4 } }),
      400,
      /Inference-Header-Content-Length/,
    ],
    [
      "an unknown output",
      infer,
      { ...input({}), outputs: [{ name: "z" }] },
      400,
      /^outputs.z: expected one of the model's outputs: y/,
    ],
    ["a reserved parameter", infer, { ...input({}), parameters: { triton_x: 1 } }, 400, /^parameters.triton_x/],
    ["a parameter that is an object", infer, { ...input({}), parameters: { a: {} } }, 400, /^parameters.a: /],
    [
      "a parameter of another type",
      infer,
      { ...input({}), parameters: { timeout: "1s" } },
      400,
      /^parameters.timeout: /,
    ],
    [
      "no classes",
      infer,
      { ...input({}), outputs: [{ name: "y", parameters: { classification: 0 } }] },
      400,
      /classification/,
    ],
    [
      "shared memory, which is off",
      infer,
      { inputs: [], outputs: [{ name: "y", parameters: { shared_memory_region: "a", shared_memory_byte_size: 4 } }] },
      400,
      /x: expected an input/,
    ],
    [
      "an input in shared memory, which is off",
      infer,
      input({ data: undefined, parameters: { shared_memory_region: "a", shared_memory_byte_size: 4 } }),
      501,
      /shared memory is off/,
    ],
    ["an unknown model", "models/nobody/infer", input({}), 404, /^There is no model nobody/],
    ["an unknown version", "models/scale/versions/7/infer", input({}), 404, /version 7/],
    ["a version that is no number", "models/scale/versions/v1/infer", input({}), 400, /^model_version/],
    [
      "values that the model fails on",
      "models/look-up/infer",
      { inputs: [{ name: "x", datatype: "INT64", shape: [1, 1], data: [9] }] },
      500,
      /indices|bounds|failed/,
    ],
    ["a path that cannot be decoded", "models/%E0%A4%A/infer", input({}), 400, /^path: /],
    [
      "a path that is none",
      "models/scale/nothing",
      input({}),
      404,
      /^There is nothing at \/v2\/models\/scale\/nothing/,
    ],
  ])("%s", async (_, path, body, status, message) => {
    const answer = await ask(path, body);
    expect(answer.json).toEqual({ error: expect.stringMatching(message) });
    expect(answer.status).toBe(status);
  });

  test("a method that a path does not have", async () => {
    expect(await ask(infer)).toMatchObject({ status: 405, headers: { allow: "POST" } });
  });

  test("bytes that no input claims", async () => {
    const { body, headers } = restBytes(input({}), Uint8Array.of(1));
    expect((await ask(infer, body, headers)).json).toEqual({
      error: "body: expected 0 bytes behind the JSON, as the inputs' binary_data_size add up to, got 1.",
    });
    for (const header of ["9999", "-1", "a"]) {
      const answer = await ask(infer, body, { "inference-header-content-length": header });
      expect(answer.json).toEqual({ error: expect.stringMatching(/^Inference-Header-Content-Length/) });
    }
  });

  test("a body that says that it is too large, before it is read", async () => {
    const answer = await ask(infer, Buffer.alloc(100_001));
    expect(answer).toMatchObject({
      status: 413,
      json: { error: "A body may have 100000 bytes; this one has 100001." },
    });
  });
});
