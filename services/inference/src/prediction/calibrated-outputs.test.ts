import { create } from "@bufbuild/protobuf";
import { Meaning, ModelPackageSchema } from "@millrace/contracts/millrace/model/v1/model_package";
import { bytesOf, type Tensor } from "@millrace/tensor";
import { expect, test } from "vitest";
import { calibratedOutput } from "./calibrated-outputs.ts";

const manifest = create(ModelPackageSchema, {
  signature: { outputs: [{ name: "other" }, { name: "probability", meaning: Meaning.PROBABILITY }] },
  calibration: { scores: [0.2, 0.6], probabilities: [0.1, 0.9] },
});
const output = (shape: number[], values: number[]): Tensor => ({
  name: "probability",
  datatype: "FP64",
  shape,
  data: bytesOf(Float64Array.from(values)),
});
const probabilities = (shape: number[], values: number[]) => [
  ...(calibratedOutput(manifest, [output(shape, values)])?.probabilities ?? []),
];

test("a score of one class is mapped; of two, the positive one, and the other is the rest", () => {
  expect(probabilities([3, 1], [0, 0.4, 1])).toEqual([0.1, expect.closeTo(0.5, 12), 0.9]);
  expect(probabilities([2, 2], [1, 0, 0.6, 0.4])).toEqual([0.9, 0.1, expect.closeTo(0.5, 12), expect.closeTo(0.5, 12)]);
});

test("what is no number stays none", () => {
  expect(probabilities([1, 1], [Number.NaN])).toEqual([Number.NaN]);
});

test("other outputs, outputs of more classes, and packages without a calibration are left as they are", () => {
  expect(calibratedOutput(manifest, [output([1, 3], [0.1, 0.2, 0.7])])).toBeUndefined();
  expect(calibratedOutput(manifest, [{ ...output([1, 1], [1]), name: "other" }])).toBeUndefined();
  expect(calibratedOutput(create(ModelPackageSchema), [output([1, 1], [1])])).toBeUndefined();
  expect(calibratedOutput(undefined, [output([1, 1], [1])])).toBeUndefined();
});
