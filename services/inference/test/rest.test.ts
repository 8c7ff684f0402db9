import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { deflateSync, gunzipSync, gzipSync, inflateSync } from "node:zlib";
import { bytesOf, encodeStrings } from "@millrace/tensor";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { identityModel, lookUpModel, openWidthModel, scaleModel, severalModel } from "./models.ts";
import { restAsk, restBytes } from "./rest-ask.ts";
import { type RunningInference, startInference } from "./start-inference.ts";

const folder = mkdtempSync(join(tmpdir(), "millrace-rest-"));
let service: RunningInference;

beforeAll(async () => {
  for (const datatype of ["FP16", "FP32", "INT64", "BYTES"] as const) {
    writeFileSync(join(folder, `identity-${datatype}.onnx`), identityModel(datatype));
  }
  writeFileSync(join(folder, "scale.onnx"), scaleModel(3));
  writeFileSync(join(folder, "open-width.onnx"), openWidthModel());
  writeFileSync(join(folder, "look-up.onnx"), lookUpModel());
  writeFileSync(join(folder, "several.onnx"), severalModel());
  service = await startInference(["--models", folder, "--max-receive-bytes", "100000"]);
}, 60_000);

afterAll(async () => {
  expect(await service.stop()).toBe(0);
  rmSync(folder, { recursive: true });
});

const ask = (path: string, body?: unknown, headers: Record<string, string> = {}) =>
  restAsk(`${service.restUrl}/v2/${path}`, body, headers);

const scale = (...data: unknown[]) => ({ inputs: [{ name: "x", datatype: "FP32", shape: [data.length, 1], data }] });

describe("a request in JSON", () => {
  test("is answered in JSON, with its id and the version that ran", async () => {
    const { status, json, headers } = await ask("models/scale/infer", { id: "a", ...scale(1, 2) });
    expect(status).toBe(200);
    expect(headers["content-type"]).toBe("application/json");
    expect(json).toEqual({
      id: "a",
      model_name: "scale",
      model_version: "1",
      outputs: [{ name: "y", datatype: "FP32", shape: [2, 1], data: [3, 6] }],
    });
    expect((await ask("models/scale/versions/1/infer", scale(1))).json).toMatchObject({ model_version: "1" });
  });

  test("has 64-bit integers, NaN and infinities as they are", async () => {
    const integers =
      '{"inputs":[{"name":"x","datatype":"INT64","shape":[1,2],"data":[9223372036854775807,-9007199254740993]}]}';
    expect((await ask("models/identity-INT64/infer", integers)).text).toContain(
      '"data":[9223372036854775807,-9007199254740993]',
    );
    const floats = '{"inputs":[{"name":"x","datatype":"FP32","shape":[2,2],"data":[[NaN,Infinity],[-Infinity,0.1]]}]}';
    expect((await ask("models/identity-FP32/infer", floats)).text).toContain(
      '"data":[NaN,Infinity,-Infinity,0.10000000149011612]',
    );
  });

  test("may name its outputs, ask for classes, and have parameters", async () => {
    const { json } = await ask("models/scale/infer", {
      ...scale(1, 2),
      parameters: { priority: 1, timeout: 1_000_000, mine: 0.5 },
      outputs: [{ name: "y", parameters: { classification: 1 } }],
    });
    expect(json).toMatchObject({
      outputs: [{ name: "y", datatype: "BYTES", shape: [2, 1], data: ["3.000000:0", "6.000000:0"] }],
    });
  });
});

describe("a request with bytes", () => {
  test("has them behind the JSON, beside inputs in JSON, and is answered as each output asks", async () => {
    const { body, headers } = restBytes(
      {
        inputs: [
          { name: "words", datatype: "BYTES", shape: [2, 1], parameters: { binary_data_size: 11 } },
          { name: "n", datatype: "INT64", shape: [2, 1], data: [[1], [2]] },
          { name: "x", datatype: "FP32", shape: [2, 1], parameters: { binary_data_size: 8 } },
        ],
        outputs: [
          { name: "said", parameters: { binary_data: true } },
          { name: "sum" },
          { name: "count", parameters: { binary_data: true } },
        ],
      },
      encodeStrings(["a", "é"]),
      bytesOf(Float32Array.of(10, 20)),
    );
    const answer = await ask("models/several/infer", body, headers);
    expect(answer.status, answer.text).toBe(200);
    const jsonBytes = Number(answer.headers["inference-header-content-length"]);
    expect(JSON.parse(answer.bytes.subarray(0, jsonBytes).toString())).toEqual({
      model_name: "several",
      model_version: "1",
      outputs: [
        { name: "said", datatype: "BYTES", shape: [2, 1], parameters: { binary_data_size: 11 } },
        { name: "sum", datatype: "FP32", shape: [2, 1], data: [11, 22] },
        { name: "count", datatype: "INT64", shape: [2, 1], parameters: { binary_data_size: 16 } },
      ],
    });
    expect(answer.bytes.subarray(jsonBytes)).toEqual(
      Buffer.concat([encodeStrings(["a", "é"]), bytesOf(BigInt64Array.of(2n, 4n))]),
    );
  });

  test("may want all outputs as bytes", async () => {
    const answer = await ask("models/scale/infer", { ...scale(1), parameters: { binary_data_output: true } });
    expect(answer.headers["content-type"]).toBe("application/octet-stream");
    expect(answer.bytes.subarray(-4)).toEqual(Buffer.from(bytesOf(Float32Array.of(3))));
  });

  test("may be one raw input without JSON", async () => {
    const raw = { "inference-header-content-length": "0" };
    const answer = await ask("models/open-width/infer", Buffer.from(bytesOf(Float32Array.of(1, 2, 3))), raw);
    expect(answer.text).toContain('"shape":[1,3],"parameters":{"binary_data_size":12}');
    const words = await ask("models/identity-BYTES/infer", Buffer.from(encodeStrings(["a", "b"])), raw);
    expect(words.bytes.subarray(-10)).toEqual(Buffer.from(encodeStrings(["a", "b"])));
    expect((await ask("models/several/infer", Buffer.alloc(4), raw)).status).toBe(400);
    expect((await ask("models/scale/infer", Buffer.alloc(7), raw)).json).toEqual({
      error: "x: expected a multiple of 4 bytes (FP32), got 7.",
    });
  });

  test("carries FP16, which JSON cannot", async () => {
    const inputs = [{ name: "x", datatype: "FP16", shape: [1, 2], parameters: { binary_data_size: 4 } }];
    const half = Buffer.from([0, 0x3c, 0, 0xc0]);
    const wanted = restBytes({ inputs, parameters: { binary_data_output: true } }, half);
    expect((await ask("models/identity-FP16/infer", wanted.body, wanted.headers)).bytes.subarray(-4)).toEqual(half);
    const other = restBytes({ inputs }, half);
    expect((await ask("models/identity-FP16/infer", other.body, other.headers)).json).toEqual({
      error: "outputs.y: expected binary data, the only form of FP16, got JSON.",
    });
  });
});

describe("compression", () => {
  const rows = Array.from({ length: 100 }, (_, at) => at);

  test.each([
    ["gzip", gzipSync, gunzipSync],
    ["deflate", deflateSync, inflateSync],
  ] as const)("of a request and of its answer may be %s", async (encoding, compress, decompress) => {
    const { body, headers } = restBytes(
      { inputs: [{ name: "x", datatype: "FP32", shape: [100, 1], parameters: { binary_data_size: 400 } }] },
      bytesOf(Float32Array.from(rows)),
    );
    const answer = await ask("models/scale/infer", compress(body), {
      ...headers,
      "content-encoding": encoding,
      "accept-encoding": `br, ${encoding}`,
    });
    // Some hundred bytes are sent as they are.
    expect(answer.headers["content-encoding"]).toBeUndefined();
    const long = await ask(
      "models/identity-FP32/infer",
      {
        inputs: [{ name: "x", datatype: "FP32", shape: [100, 2], data: [...rows, ...rows].map((each) => each + 0.1) }],
      },
      { "accept-encoding": encoding },
    );
    expect(long.headers["content-encoding"]).toBe(encoding);
    expect(JSON.parse(decompress(long.bytes).toString()).outputs[0].shape).toEqual([100, 2]);
  });

  test("that the caller refuses is not used, and one that is unknown is refused", async () => {
    const answer = await ask("models/stats", undefined, { "accept-encoding": "gzip;q=0, br" });
    expect(answer.headers["content-encoding"]).toBeUndefined();
    expect((await ask("models/scale/infer", "{}", { "content-encoding": "br" })).json).toEqual({
      error: "Content-Encoding: expected gzip, deflate or none, got br.",
    });
    expect((await ask("models/scale/infer", "{}", { "content-encoding": "gzip" })).status).toBe(400);
  });

  test("does not make a body larger than the service takes", async () => {
    const answer = await ask("models/scale/infer", gzipSync(Buffer.alloc(200_000)), { "content-encoding": "gzip" });
    expect(answer).toMatchObject({ status: 413, json: { error: expect.stringContaining("more once it is inflated") } });
  });
});

describe("generate", () => {
  test("takes inputs as keys, and answers outputs as keys", async () => {
    expect((await ask("models/scale/generate", { id: "a", x: 7, mine: 1 })).json).toEqual({
      id: "a",
      model_name: "scale",
      model_version: "1",
      y: 21,
    });
    expect((await ask("models/open-width/generate", { x: [1, 2, 3] })).json).toMatchObject({ y: [1, 2, 3] });
    const { json } = await ask("models/several/generate", { x: 1, n: 2, words: "é" });
    expect(json).toMatchObject({ sum: 3, said: "é", count: 4 });
  });

  test("refuses what the protocol knows as a parameter among the inputs, where it would be without effect", async () => {
    for (const name of ["priority", "timeout", "triton_more"]) {
      const answer = await ask("models/scale/generate", { x: 7, [name]: 1 });
      expect(answer).toMatchObject({
        status: 400,
        json: {
          error: `${name}: expected one of the model's inputs, or a key of \`parameters\`, got a key beside them.`,
        },
      });
    }
    expect((await ask("models/scale/generate", { x: 7, parameters: { priority: 1 } })).json).toMatchObject({ y: 21 });
  });

  test("as a stream is one event", async () => {
    const answer = await ask("models/scale/versions/1/generate_stream", { x: 7 });
    expect(answer.headers["content-type"]).toMatch(/^text\/event-stream/);
    expect(answer.text).toBe('data: {"model_name":"scale","model_version":"1","y":21}\n\n');
  });
});

describe("beside tensors", () => {
  test("the id of a request is in its answer, and its trace in the log where it failed", async () => {
    const trace = { "x-request-id": "mine", traceparent: `00-${"ab".repeat(16)}-${"cd".repeat(8)}-01` };
    const beyond = { inputs: [{ name: "x", datatype: "INT64", shape: [1, 1], data: [9] }] };
    const { status, headers } = await ask("models/look-up/infer", beyond, trace);
    expect(status).toBe(500);
    expect(headers["x-request-id"]).toBe("mine");
    const failed = service.log.filter(({ msg }) => msg === "A request of the REST form failed.");
    expect(failed).toMatchObject([{ traceId: "ab".repeat(16), method: "POST /v2/models/look-up/infer" }]);
  });

  test("requests are counted by route and status", async () => {
    await ask("models/scale/infer", scale(1));
    const text = await (await fetch(service.metricsUrl)).text();
    expect(text).toMatch(
      /millrace_inference_rest_requests_total\{route="v2\/models\/:model\[\/versions\/:version\]\/infer",status="200"\} \d+/,
    );
  });
});
