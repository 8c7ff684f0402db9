import { GraphBuilder } from "@millrace/onnx";

/** A network of dense layers with ReLU between them, as ONNX: `x` [batch, first] to `y` [batch, last]. The weights are fixed. */
export const denseModel = (widths: readonly number[]): Uint8Array => {
  const graph = new GraphBuilder("mlp");
  const [first = 1, ...rest] = widths;
  let value = graph.input("x", "FP32", ["batch", first]);
  let from = first;
  rest.forEach((to, index) => {
    const weights = Float32Array.from({ length: from * to }, (_, at) => Math.sin(at + index) / Math.sqrt(from));
    const product = graph.node("MatMul", [value, graph.constant("FP32", weights, [from, to])]);
    value = graph.node("Add", [product, graph.constant("FP32", new Float32Array(to), [to])]);
    if (index < rest.length - 1) value = graph.node("Relu", [value]);
    from = to;
  });
  graph.output("y", value, "FP32", ["batch", from]);
  return graph.toBytes();
};
