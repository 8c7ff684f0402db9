import { bytesOf, type Datatype, encodeStrings, type Tensor } from "@millrace/tensor";
import { describe, expect, test } from "vitest";
import { outputDifference } from "./output-difference.ts";

const tensor = (datatype: Datatype, values: ArrayBufferView, length: number): Tensor => ({
  name: "y",
  datatype,
  shape: [length],
  data: bytesOf(values),
});
const floats = (...values: number[]) => tensor("FP32", Float32Array.from(values), values.length);
const texts = (...values: string[]) => tensor("BYTES", encodeStrings(values), values.length);

describe("two outputs", () => {
  test("are equal within the tolerance, and the largest difference is told", () => {
    expect(outputDifference(floats(1, 2, 3), floats(1, 2, 3))).toEqual({ equal: true, largest: 0 });
    const near = outputDifference(floats(1000, 0), floats(1000.005, 0));
    expect(near.equal).toBe(true);
    expect(near.largest).toBeCloseTo(0.005, 3);
    expect(outputDifference(floats(1, 2, 3), floats(1, 2.5, 3.25))).toEqual({ equal: false, largest: 0.5 });
  });

  test("of half precision are compared as numbers, not as bits", () => {
    const one = tensor("FP16", Uint16Array.of(0x3c00), 1);
    const two = tensor("FP16", Uint16Array.of(0x4000), 1);
    expect(outputDifference(one, two)).toEqual({ equal: false, largest: 1 });
  });

  test("are different where a number is finite on one side alone, without a difference that no sum would survive", () => {
    expect(outputDifference(floats(Number.NaN), floats(Number.NaN))).toEqual({ equal: true, largest: 0 });
    expect(outputDifference(floats(1), floats(Number.NaN))).toEqual({ equal: false, largest: undefined });
    expect(outputDifference(floats(Infinity), floats(Infinity))).toEqual({ equal: true, largest: 0 });
    expect(outputDifference(floats(Infinity), floats(-Infinity))).toEqual({ equal: false, largest: undefined });
  });

  test("of whole numbers beyond doubles differ by one", () => {
    const one = tensor("INT64", BigInt64Array.of(2n ** 53n), 1);
    const next = tensor("INT64", BigInt64Array.of(2n ** 53n + 1n), 1);
    expect(outputDifference(one, one).equal).toBe(true);
    expect(outputDifference(one, next).equal).toBe(false);
  });

  test("of texts are equal or not", () => {
    expect(outputDifference(texts("a", "é"), texts("a", "é"))).toEqual({ equal: true, largest: undefined });
    expect(outputDifference(texts("ab"), texts("ac"))).toEqual({ equal: false, largest: undefined });
  });

  test("of another shape, another datatype, or where one is absent are different", () => {
    expect(outputDifference(floats(1), floats(1, 2)).equal).toBe(false);
    expect(outputDifference(floats(1), tensor("INT32", Int32Array.of(1), 1)).equal).toBe(false);
    expect(outputDifference(floats(1), undefined).equal).toBe(false);
  });

  test("that are very large are compared in part, evenly spread", () => {
    const [one, two] = [new Float32Array(1_000_000), new Float32Array(1_000_000).fill(1, 500_000)];
    expect(outputDifference(tensor("FP32", one, 1_000_000), tensor("FP32", two, 1_000_000))).toEqual({
      equal: false,
      largest: 1,
    });
  });
});
