import { type JsonValue, parseJson } from "@millrace/rest";
import { type Datatype, elementCount, encodeStrings, type Tensor, TensorInvalidError } from "@millrace/tensor";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { tensorFromJson, tensorToJson } from "./json-tensor.ts";

const seed = Number(process.env.MILLRACE_SEED ?? Date.now() % 2 ** 31);
const parse = (text: string): JsonValue => parseJson(Buffer.from(text));

const bytes: Readonly<Record<Exclude<Datatype, "BYTES" | "BOOL" | "FP16">, number>> = {
  UINT8: 1,
  UINT16: 2,
  UINT32: 4,
  UINT64: 8,
  INT8: 1,
  INT16: 2,
  INT32: 4,
  INT64: 8,
  FP32: 4,
  FP64: 8,
};

/** Any bits at all: NaN of every kind, infinities, subnormal numbers. */
const tensor = fc.array(fc.nat({ max: 4 }), { maxLength: 4 }).chain((shape) => {
  const count = elementCount(shape);
  const data = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
  const numeric = fc
    .constantFrom(...(Object.keys(bytes) as (keyof typeof bytes)[]))
    .chain((datatype) => data(count * bytes[datatype]).map((data): Tensor => ({ name: "x", datatype, shape, data })));
  const truth = data(count).map(
    (data): Tensor => ({ name: "x", datatype: "BOOL", shape, data: data.map((byte) => byte & 1) }),
  );
  const words = fc
    .array(
      fc.string({ unit: "grapheme" }).map((word) => word.replaceAll("\0", "")),
      { minLength: count, maxLength: count },
    )
    .map((strings): Tensor => ({ name: "x", datatype: "BYTES", shape, data: encodeStrings(strings) }));
  return fc.oneof(numeric, truth, words);
});

/** Flat data as arrays within arrays. */
const nest = (flat: readonly unknown[], shape: readonly number[]): unknown => {
  if (shape.length <= 1) return flat;
  const [count = 0, ...rest] = shape;
  const step = elementCount(rest);
  return Array.from({ length: count }, (_, at) => nest(flat.slice(at * step, (at + 1) * step), rest));
};

/** Bits of NaN are not kept by any JSON: one stands for all. */
const oneNaN = ({ datatype, data }: Tensor): Uint8Array => {
  const copy = data.slice();
  if (datatype === "FP32") {
    const view = new Float32Array(copy.buffer);
    for (const [at, value] of view.entries()) if (Number.isNaN(value)) view[at] = Number.NaN;
    for (const [at, value] of view.entries()) if (value === 0) view[at] = 0;
  } else if (datatype === "FP64") {
    const view = new Float64Array(copy.buffer);
    for (const [at, value] of view.entries()) if (Number.isNaN(value)) view[at] = Number.NaN;
    for (const [at, value] of view.entries()) if (value === 0) view[at] = 0;
  }
  return copy;
};

describe("a tensor in JSON", () => {
  test("is read as it was written, flat or nested", () => {
    fc.assert(
      fc.property(tensor, (tensor) => {
        const { data: _, ...head } = tensor;
        const flat = parse(tensorToJson(tensor)) as readonly JsonValue[];
        for (const form of [flat, nest(flat, tensor.shape) as JsonValue]) {
          expect(oneNaN(tensorFromJson(head, form))).toEqual(oneNaN(tensor));
        }
      }),
      { seed, numRuns: 500 },
    );
  });

  test.each([
    ["INT8", "[128]"],
    ["UINT8", "[-1]"],
    ["INT32", "[1.5]"],
    ["INT64", "[9223372036854775808]"],
    ["INT64", "[1e18]"],
    ["UINT64", "[-1]"],
    ["UINT64", "[18446744073709551616]"],
    ["FP32", "[1e39]"],
    ["FP64", "[1e999]"],
    ["FP32", '["NaN"]'],
    ["FP32", "[null]"],
    ["BOOL", "[1]"],
    ["BYTES", "[1]"],
    ["BYTES", String.raw`["\ud800"]`],
    ["FP16", "[1]"],
    ["FP32", "[[1]]"],
    ["FP32", "1"],
    ["FP32", "[1, 2]"],
  ] as const)("of %s is refused where it is %s", (datatype, text) => {
    expect(() => tensorFromJson({ name: "x", datatype, shape: [1] }, parse(text))).toThrow(TensorInvalidError);
  });

  test("is refused where its arrays are not as its shape says", () => {
    for (const text of ["[[1,2],[3]]", "[[1,2,3]]", "[[1],[2],[3],[4]]", "[[[1],[2]],[[3],[4]]]", "[[1,2],3]"]) {
      expect(() => tensorFromJson({ name: "x", datatype: "FP32", shape: [2, 2] }, parse(text)), text).toThrow(
        TensorInvalidError,
      );
    }
  });

  test("takes no memory for a shape that its data does not have", () => {
    const head = { name: "x", datatype: "FP64" as const, shape: [2 ** 24, 2 ** 24] };
    expect(() => tensorFromJson(head, [1])).toThrow(/expected 281474976710656 elements/);
    expect(() => tensorFromJson(head, [[1]])).toThrow(/an array of 16777216 at depth 0/);
  });
});
