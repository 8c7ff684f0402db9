import { GraphBuilder } from "@millrace/onnx";
import type { Datatype } from "@millrace/tensor";

/** `y = x` for a datatype, [rows, width]. */
export const identityModel = (datatype: Datatype, width = 2): Uint8Array => {
  const graph = new GraphBuilder("identity");
  const x = graph.input("x", datatype, ["rows", width]);
  graph.output("y", graph.node("Identity", [x]), datatype, ["rows", width]);
  return graph.toBytes();
};

/** `y = factor * x`, FP32 [rows, 1]: a version can be told by its factor. */
export const scaleModel = (factor: number): Uint8Array => {
  const graph = new GraphBuilder("scale");
  const x = graph.input("x", "FP32", ["rows", 1]);
  const y = graph.node("Mul", [x, graph.constant("FP32", Float32Array.of(factor), [1])]);
  graph.output("y", y, "FP32", ["rows", 1]);
  return graph.toBytes();
};

/** A dense network FP32 [rows, inputs] → [rows, 1], beside the row sums as FP64 [rows]: two outputs of two kinds. */
export const denseModel = (inputs = 32, hidden = 64): Uint8Array => {
  const graph = new GraphBuilder("dense");
  const weights = (rows: number, columns: number, seed: number) =>
    graph.constant(
      "FP32",
      Float32Array.from({ length: rows * columns }, (_, at) => Math.sin(seed + at * 0.37) / Math.sqrt(rows)),
      [rows, columns],
    );
  const x = graph.input("x", "FP32", ["rows", inputs]);
  const first = graph.node("Relu", [graph.node("MatMul", [x, weights(inputs, hidden, 1)])]);
  const second = graph.node("Relu", [graph.node("MatMul", [first, weights(hidden, hidden, 2)])]);
  const score = graph.node("Sigmoid", [graph.node("MatMul", [second, weights(hidden, 1, 3)])]);
  graph.output("score", score, "FP32", ["rows", 1]);
  const axes = graph.constant("INT64", BigInt64Array.of(1n), [1]);
  const sum = graph.node("ReduceSum", [x, axes], { attributes: { keepdims: 0n } });
  graph.output("sum", graph.node("Cast", [sum], { attributes: { to: 11n } }), "FP64", ["rows"]);
  return graph.toBytes();
};

/** Its answer for a row depends on the other rows: `y = x - mean over rows`. Its graph looks as if it could be batched. */
export const rowsDependModel = (): Uint8Array => {
  const graph = new GraphBuilder("rows-depend");
  const x = graph.input("x", "FP32", ["rows", 1]);
  const mean = graph.node("ReduceMean", [x, graph.constant("INT64", BigInt64Array.of(0n), [1])]);
  graph.output("y", graph.node("Sub", [x, mean]), "FP32", ["rows", 1]);
  return graph.toBytes();
};

/** `y = x` for FP32 [rows, any]: requests of different widths cannot be joined. */
export const openWidthModel = (): Uint8Array => {
  const graph = new GraphBuilder("open-width");
  const x = graph.input("x", "FP32", ["rows", "width"]);
  graph.output("y", graph.node("Identity", [x]), "FP32", ["rows", "width"]);
  return graph.toBytes();
};

/** Takes FP32 [1] and a good while: each of `steps` is a product of 512 × 512 matrices. Not batched. */
export const slowModel = (steps: number): Uint8Array => {
  const graph = new GraphBuilder("slow");
  const x = graph.input("x", "FP32", [1]);
  const size = 512;
  const matrix = graph.constant("FP32", new Float32Array(size * size).fill(1 / size), [size, size]);
  let product = graph.node("Mul", [matrix, x]);
  for (let step = 0; step < steps; step++) product = graph.node("MatMul", [product, matrix]);
  const mean = graph.node("ReduceMean", [product], { attributes: { keepdims: 0n } });
  graph.output("y", graph.node("Reshape", [mean, graph.constant("INT64", BigInt64Array.of(1n), [1])]), "FP32", [1]);
  return graph.toBytes();
};

/** Looks up `table[x]`: an index beyond the table makes a run fail. INT64 [rows, 1] → FP32 [rows, 1]. */
export const lookUpModel = (): Uint8Array => {
  const graph = new GraphBuilder("look-up");
  const x = graph.input("x", "INT64", ["rows", 1]);
  const table = graph.constant("FP32", Float32Array.of(10, 20, 30), [3]);
  graph.output("y", graph.node("Gather", [table, x]), "FP32", ["rows", 1]);
  return graph.toBytes();
};

/** Three inputs and three outputs of different kinds: `sum = x + n`, `said = words`, `count = n + n`, each [rows, 1]. */
export const severalModel = (): Uint8Array => {
  const graph = new GraphBuilder("several");
  const x = graph.input("x", "FP32", ["rows", 1]);
  const n = graph.input("n", "INT64", ["rows", 1]);
  const words = graph.input("words", "BYTES", ["rows", 1]);
  const sum = graph.node("Add", [x, graph.node("Cast", [n], { attributes: { to: 1n } })]);
  graph.output("sum", sum, "FP32", ["rows", 1]);
  graph.output("said", graph.node("Identity", [words]), "BYTES", ["rows", 1]);
  graph.output("count", graph.node("Add", [n, n]), "INT64", ["rows", 1]);
  return graph.toBytes();
};
