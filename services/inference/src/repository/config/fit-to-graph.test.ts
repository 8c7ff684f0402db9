import { ModelConfigSchema } from "@millrace/contracts/inference/model_config";
import type { TensorSpec } from "@millrace/tensor";
import { describe, expect, test } from "vitest";
import { parseTextFormat } from "../text-format/parse-text-format.ts";
import { fitToGraph, reshaped } from "./fit-to-graph.ts";

const parse = (text: string) => parseTextFormat(ModelConfigSchema, "config.pbtxt", text);
const spec = (name: string, ...shape: number[]): TensorSpec => ({ name, datatype: "FP32", shape });
const shapesOf = (config: string, input: TensorSpec, output = spec("y", -1, 1)) => {
  const fitted = fitToGraph(parse(config), "model", { inputs: [input], outputs: [output] });
  return [...fitted.inputs, ...fitted.outputs].map(({ spec, graphShape }) => [spec.shape, graphShape]);
};

describe("a configuration is held to its graph", () => {
  test.each([
    ["without tensors, and takes the graph's", "", [-1, 3], [-1, 3]],
    [
      "in a dimension that it narrows",
      'max_batch_size: 2 input { name: "x" data_type: TYPE_FP32 dims: 3 }',
      [-1, -1],
      [-1, 3],
    ],
    ["without a batch", 'input { name: "x" data_type: TYPE_FP32 dims: [4, -1] }', [-1, -1], [4, -1]],
  ])("%s", (_, config, graph, expected) => {
    expect(shapesOf(config, spec("x", ...graph))[0]).toEqual([expected, undefined]);
  });

  test("in shapes of the same elements", () => {
    const config =
      'max_batch_size: 8 input { name: "x" data_type: TYPE_FP32 dims: [-1, 4] reshape { shape: [-1, 2, 2] } }';
    expect(shapesOf(config, spec("x", -1, -1, 2, 2))[0]).toEqual([
      [-1, -1, 4],
      [-1, -1, 2, 2],
    ]);
  });

  test("but not in the shape of an output whose rank the graph does not tell", () => {
    const config = 'output { name: "y" data_type: TYPE_FP32 dims: [2, 2] }';
    expect(shapesOf(config, spec("x", 1), spec("y"))[1]).toEqual([[2, 2], undefined]);
  });

  test.each([
    [
      "a rank",
      'max_batch_size: 2 input { name: "x" data_type: TYPE_FP32 dims: [3, 3] }',
      /input\[0\]\.dims: expected what fits the graph's \[3\], got \[3, 3\]/,
    ],
    [
      "an open dimension for a fixed one",
      'max_batch_size: 2 input { name: "x" data_type: TYPE_FP32 dims: [-1] }',
      /graph's \[3\], got \[-1\]/,
    ],
    [
      "a datatype",
      'max_batch_size: 2 input { name: "x" data_type: TYPE_INT64 dims: 3 }',
      /data_type: expected TYPE_FP32, got TYPE_INT64/,
    ],
    [
      "a reshape of other elements",
      'max_batch_size: 2 input { name: "x" data_type: TYPE_FP32 dims: 4 reshape { shape: 3 } }',
      /reshape\.shape: expected as many elements as dims has, \[4\], got \[3\]/,
    ],
  ])("and %s is named", (_, config, message) => {
    expect(() => shapesOf(config, spec("x", -1, 3))).toThrow(message);
  });

  test("and an input that it leaves out is named", () => {
    const config = parse('max_batch_size: 2 input { name: "x" data_type: TYPE_FP32 dims: 3 }');
    const graph = { inputs: [spec("x", -1, 3), spec("z", -1, 1)], outputs: [spec("y", -1, 1)] };
    expect(() => fitToGraph(config, "model", graph)).toThrow(
      /input: expected each of the graph's inputs, z too, got 1 of 2/,
    );
  });
});

test("open dimensions keep their sizes in another shape, in order", () => {
  expect(reshaped([7, 5, 4], [-1, -1, 4], [-1, -1, 2, 2])).toEqual([7, 5, 2, 2]);
  expect(reshaped([7, 1], [-1, 1], [-1])).toEqual([7]);
});
