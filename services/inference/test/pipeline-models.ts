import { toBinary } from "@bufbuild/protobuf";
import { ModelProtoSchema } from "@millrace/contracts/onnx/onnx";
import { GraphBuilder } from "@millrace/onnx";
import type { Datatype } from "@millrace/tensor";

const float = (graph: GraphBuilder, ...values: number[]) =>
  graph.constant("FP32", Float32Array.from(values), [values.length]);

/** `y = factor * x + offset` for FP32 [rows, width]. */
export const affineModel = (factor: number, offset: number, width = 2): Uint8Array => {
  const graph = new GraphBuilder("affine");
  const x = graph.input("x", "FP32", ["rows", width]);
  const scaled = graph.node("Mul", [x, float(graph, factor)]);
  graph.output("y", graph.node("Add", [scaled, float(graph, offset)]), "FP32", ["rows", width]);
  return graph.toBytes();
};

/** `mean = (a + b + c) / 3` for FP32 [rows, 1]. */
export const meanOfThreeModel = (): Uint8Array => {
  const graph = new GraphBuilder("mean-of-three");
  const inputs = ["a", "b", "c"].map((name) => graph.input(name, "FP32", ["rows", 1]));
  const sum = graph.node("Sum", inputs);
  graph.output("mean", graph.node("Div", [sum, float(graph, 3)]), "FP32", ["rows", 1]);
  return graph.toBytes();
};

/** `score = factor * Σ x`, FP32 [rows, width] → [rows, 1]. */
export const sumModel = (factor: number, width = 2): Uint8Array => {
  const graph = new GraphBuilder("sum");
  const x = graph.input("x", "FP32", ["rows", width]);
  const sum = graph.node("ReduceSum", [x, graph.constant("INT64", BigInt64Array.of(1n), [1])], {
    attributes: { keepdims: 1n },
  });
  graph.output("score", graph.node("Mul", [sum, float(graph, factor)]), "FP32", ["rows", 1]);
  return graph.toBytes();
};

/** Text of a country to a text: `NL` to `<prefix>NL`, others to `<prefix>?`. BYTES [rows, 1]. Beside it x, as it came. */
export const greetModel = (prefix: string): Uint8Array => {
  const graph = new GraphBuilder("greet");
  const country = graph.input("country", "BYTES", ["rows", 1]);
  const x = graph.input("x", "FP32", ["rows", 1]);
  const known = ["NL", "BE", "DE", "Österreich"];
  const greeting = graph.node("LabelEncoder", [country], {
    domain: "ai.onnx.ml",
    attributes: {
      keys_strings: known,
      values_strings: known.map((text) => prefix + text),
      default_string: `${prefix}?`,
    },
  });
  graph.output("greeting", greeting, "BYTES", ["rows", 1]);
  graph.output("x_out", graph.node("Identity", [x]), "FP32", ["rows", 1]);
  return graph.toBytes();
};

/** `y = x + offset` for FP32 [rows, 1], and a switch that it ignores, of any datatype. */
export const switchedModel = (offset: number, datatype: Datatype): Uint8Array => {
  const graph = new GraphBuilder("switched");
  const x = graph.input("x", "FP32", ["rows", 1]);
  const on = graph.input("on", datatype, ["rows", 1]);
  graph.output("y", graph.node("Add", [x, float(graph, offset)]), "FP32", ["rows", 1]);
  graph.output("on_out", graph.node("Identity", [on]), datatype, ["rows", 1]);
  return graph.toBytes();
};

/** `sum = a + b` for FP32 [rows, 2]. */
export const addModel = (): Uint8Array => {
  const graph = new GraphBuilder("add");
  const [a, b] = ["a", "b"].map((name) => graph.input(name, "FP32", ["rows", 2]));
  if (a !== undefined && b !== undefined) graph.output("sum", graph.node("Add", [a, b]), "FP32", ["rows", 2]);
  return graph.toBytes();
};

/** `y` is x in the shape that is asked for, FP32 of any rank: its graph does not tell which. */
export const reshapeModel = (): Uint8Array => {
  const graph = new GraphBuilder("reshape");
  const x = graph.input("x", "FP32", ["count"]);
  const shape = graph.input("shape", "INT64", ["rank"]);
  graph.output("y", graph.node("Reshape", [x, shape]), "FP32", []);
  const model = graph.build();
  const type = model.graph?.output[0]?.type?.value;
  if (type?.case === "tensorType") delete type.value.shape;
  return toBinary(ModelProtoSchema, model);
};
