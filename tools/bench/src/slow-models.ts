import { GraphBuilder } from "@millrace/onnx";

/**
 * A model whose time grows with its rows, so that joining requests wins nothing: `x` [batch, 64] to `y` [batch, 1]. Each
 * step takes the sine of 4096 values a row.
 */
export const slowRowsModel = (steps: number): Uint8Array => {
  const graph = new GraphBuilder("slow-rows");
  const width = 64;
  const x = graph.input("x", "FP32", ["batch", width]);
  const tiled = graph.node("Tile", [x, graph.constant("INT64", BigInt64Array.of(1n, 64n), [2])]);
  let value = tiled;
  for (let step = 0; step < steps; step++) value = graph.node("Sin", [value]);
  const axes = graph.constant("INT64", BigInt64Array.of(1n), [1]);
  const mean = graph.node("ReduceMean", [value, axes], { attributes: { keepdims: 1n } });
  graph.output("y", mean, "FP32", ["batch", 1]);
  return graph.toBytes();
};

/** A model that takes a while and cannot be batched: `x` [1] to `y` [1]. Each step is a product of 512 × 512 matrices. */
export const slowRunModel = (steps: number): Uint8Array => {
  const graph = new GraphBuilder("slow-run");
  const size = 512;
  const x = graph.input("x", "FP32", [1]);
  const matrix = graph.constant("FP32", new Float32Array(size * size).fill(1 / size), [size, size]);
  let product = graph.node("Mul", [matrix, x]);
  for (let step = 0; step < steps; step++) product = graph.node("MatMul", [product, matrix]);
  const mean = graph.node("ReduceMean", [product], { attributes: { keepdims: 0n } });
  graph.output("y", graph.node("Reshape", [mean, graph.constant("INT64", BigInt64Array.of(1n), [1])]), "FP32", [1]);
  return graph.toBytes();
};
