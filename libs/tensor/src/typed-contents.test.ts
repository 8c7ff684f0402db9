import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { encodeBytes } from "./bytes-elements.ts";
import { type Datatype, elementBytes } from "./datatype.ts";
import { fromTypedContents, hasTypedForm, type TypedContents, toTypedContents } from "./typed-contents.ts";

const typed = (Object.keys(elementBytes) as Datatype[]).filter(hasTypedForm);
const seed = Number(process.env.MILLRACE_SEED ?? Date.now() % 2 ** 31);

/** Bytes of any tensor of two elements; not-a-numbers have one form, which is what a number can carry. */
const anyBytes = (datatype: Datatype): fc.Arbitrary<Uint8Array> => {
  switch (datatype) {
    case "BYTES":
      return fc.tuple(fc.uint8Array({ maxLength: 9 }), fc.uint8Array({ maxLength: 9 })).map(encodeBytes);
    case "BOOL":
      return fc.uint8Array({ minLength: 2, maxLength: 2, max: 1 });
    case "FP32":
      return fc.tuple(fc.float(), fc.float()).map((values) => new Uint8Array(Float32Array.from(values).buffer));
    case "FP64":
      return fc.tuple(fc.double(), fc.double()).map((values) => new Uint8Array(Float64Array.from(values).buffer));
    default:
      return fc.uint8Array({ minLength: 2 * elementBytes[datatype], maxLength: 2 * elementBytes[datatype] });
  }
};

describe.each(typed)("%s", (datatype) => {
  test("goes to typed contents and back unchanged", () => {
    fc.assert(
      fc.property(anyBytes(datatype), (data) => {
        const contents = toTypedContents({ name: "x", datatype, shape: [2], data });
        expect(fromTypedContents("x", datatype, [2], contents ?? {}).data).toEqual(data);
      }),
      { seed },
    );
  });
});

test("FP16 has no typed form", () => {
  expect(toTypedContents({ name: "x", datatype: "FP16", shape: [1], data: new Uint8Array(2) })).toBeUndefined();
  expect(() => fromTypedContents("x", "FP16", [1], {})).toThrow(/raw_input_contents/);
});

describe("typed contents are refused", () => {
  test.each<[string, Datatype, TypedContents, RegExp]>([
    [
      "below the datatype",
      "INT8",
      { intContents: [0, -129] },
      /x.contents\[1\]: expected INT8, which is -128 to 127, got -129/,
    ],
    [
      "above the datatype",
      "UINT16",
      { uintContents: [65536, 0] },
      /x.contents\[0\]: expected UINT16, which is 0 to 65535, got 65536/,
    ],
    [
      "in the field of another datatype",
      "FP32",
      { fp64Contents: [1, 2] },
      /expected fp32_contents \(FP32\), got 2 values in fp64_contents/,
    ],
    ["that are too few", "INT64", { int64Contents: [1n] }, /expected 2 values \(INT64 \[2\]\), got 1 values/],
  ])("%s", (_, datatype, contents, message) => {
    expect(() => fromTypedContents("x", datatype, [2], contents)).toThrow(message);
  });
});
