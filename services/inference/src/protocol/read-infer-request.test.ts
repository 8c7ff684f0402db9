import { create, equals, fromBinary, toBinary } from "@bufbuild/protobuf";
import { type ModelInferRequest, ModelInferRequestSchema } from "@millrace/contracts/inference/grpc_service";
import { describe, expect, test } from "vitest";
import { readInferRequest } from "./read-infer-request.ts";

const seed = Number(process.env.MILLRACE_SEED ?? Date.now() % 2 ** 31);

/** Numbers from 0 up to 1, the same for the same seed (mulberry32). */
const randomOf = (state: number) => (): number => {
  state = (state + 0x6d2b79f5) | 0;
  let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
  mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
  return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
};

const encoded = (init: Parameters<typeof create<typeof ModelInferRequestSchema>>[1]): Uint8Array =>
  toBinary(ModelInferRequestSchema, create(ModelInferRequestSchema, init));

/** What the general codec reads; undefined where it refuses. */
const byCodec = (bytes: Uint8Array): ModelInferRequest | undefined => {
  try {
    return fromBinary(ModelInferRequestSchema, bytes);
  } catch {
    return undefined;
  }
};

const byHand = (bytes: Uint8Array): ModelInferRequest | undefined => {
  try {
    return readInferRequest(bytes);
  } catch {
    return undefined;
  }
};

describe(`a request that is read equals what the general codec reads (seed ${seed})`, () => {
  const samples = [
    {},
    {
      modelName: "mlp",
      inputs: [{ name: "x", datatype: "FP32", shape: [1n, 32n] }],
      rawInputContents: [new Uint8Array(128)],
    },
    {
      modelName: "mlp",
      modelVersion: "3",
      id: "a",
      outputs: [{ name: "y" }, {}],
      inputs: [{ shape: [0n, 300n, 70_000n] }],
    },
    { modelName: "ümlaut", inputs: [{ name: "x", shape: [-1n, 2n ** 40n] }] },
    {
      modelName: "m".repeat(200),
      parameters: { priority: { parameterChoice: { case: "int64Param" as const, value: 2n } } },
    },
    { inputs: [{ name: "x", datatype: "INT32", shape: [2n], contents: { intContents: [1, 2] } }] },
    { inputs: [{ name: "x", parameters: { a: { parameterChoice: { case: "boolParam" as const, value: true } } } }] },
    {
      outputs: [
        { name: "y", parameters: { classification: { parameterChoice: { case: "int64Param" as const, value: 2n } } } },
      ],
    },
    { rawInputContents: [new Uint8Array(), new Uint8Array(70_000).fill(7)] },
  ].map(encoded);

  test.each(samples.map((bytes, index) => ({ index, bytes })))("sample $index", ({ bytes }) => {
    const expected = byCodec(bytes);
    expect(expected).toBeDefined();
    expect(expected !== undefined && equals(ModelInferRequestSchema, readInferRequest(bytes), expected)).toBe(true);
  });

  test("and what it refuses is refused, of bytes that were changed at random", () => {
    const random = randomOf(seed);
    for (let round = 0; round < 5000; round++) {
      const bytes = Uint8Array.from(samples[Math.floor(random() * samples.length)] ?? []).subarray(0, 4096);
      const cut = bytes.slice(0, random() < 0.3 ? Math.floor(random() * bytes.length) : bytes.length);
      for (let change = Math.floor(random() * 4); change > 0 && cut.length > 0; change--) {
        cut[Math.floor(random() * Math.min(cut.length, 64))] = Math.floor(random() * 256);
      }
      const expected = byCodec(cut);
      const read = byHand(cut);
      if (expected === undefined || read === undefined) expect(read, Buffer.from(cut).toString("hex")).toBe(expected);
      else expect(equals(ModelInferRequestSchema, read, expected), Buffer.from(cut).toString("hex")).toBe(true);
    }
  });
});
