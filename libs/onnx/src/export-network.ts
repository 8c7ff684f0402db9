import type { LayersModel } from "@tensorflow/tfjs";
import { exportLayers } from "./export-layers.ts";
import { exportPreparation } from "./export-preparation.ts";
import { GraphBuilder, type GraphValue } from "./graph-builder.ts";
import type { NetworkInput } from "./network-input.ts";

/** What becomes of the network's last layer. */
export type NetworkOutput =
  /** A logit becomes the probability of the positive class: [rows, 1]. */
  | { readonly name: string; readonly transform: "sigmoid" }
  /** Logits become the probability of each class: [rows, classes]. */
  | { readonly name: string; readonly transform: "softmax" }
  /** Multiplied by `scale`, then `offset` is added: a regression's answer in the label's own unit. [rows, 1]. */
  | { readonly name: string; readonly transform: "scale"; readonly scale: number; readonly offset: number };

export interface NetworkToExport {
  /** The name of the graph. */
  readonly name: string;
  /** The raw inputs, in the order of the graph. */
  readonly inputs: readonly NetworkInput[];
  /**
   * Its inputs in order: first the matrix of all prepared columns, in the order of `inputs` (absent where every input is
   * an embedding), then the index of each embedding, in the order of `inputs`. One output of shape [rows, units].
   */
  readonly network: LayersModel;
  readonly output: NetworkOutput;
}

/**
 * Exports a trained tfjs network and its preparation as one ONNX model that takes raw features: each input is one named
 * feature, [rows, 1], with its own datatype. The same network gives the same bytes.
 *
 * @throws LayerUnsupportedError naming a layer that cannot be exported: call it once before training to find out.
 */
export const exportNetwork = ({ name, inputs, network, output }: NetworkToExport): Uint8Array => {
  const graph = new GraphBuilder(name);
  const raw = inputs.map((input) => graph.input(input.name, input.datatype, ["rows", 1]));
  const columns: GraphValue[] = [];
  const indices: GraphValue[] = [];
  inputs.forEach((input, place) => {
    const value = exportPreparation(graph, input, raw[place] as GraphValue);
    (input.preparation.kind === "embedding" ? indices : columns).push(value);
  });
  const [last] = exportLayers(graph, network, [...joined(graph, columns), ...indices]);
  const units = network.outputs[0]?.shape.at(-1);
  if (last === undefined || typeof units !== "number") {
    throw new TypeError("The network needs one output of a known width.");
  }
  graph.output(output.name, transformed(graph, last, output), "FP32", ["rows", units]);
  return graph.toBytes();
};

const joined = (graph: GraphBuilder, columns: readonly GraphValue[]): readonly GraphValue[] =>
  columns.length <= 1 ? columns : [graph.node("Concat", columns, { attributes: { axis: 1n } })];

const transformed = (graph: GraphBuilder, value: GraphValue, output: NetworkOutput): GraphValue => {
  switch (output.transform) {
    case "sigmoid":
      return graph.node("Sigmoid", [value]);
    case "softmax":
      return graph.node("Softmax", [value], { attributes: { axis: -1n } });
    case "scale": {
      const scaled = graph.node("Mul", [value, graph.constant("FP32", Float32Array.of(output.scale), [1], "scale")]);
      return graph.node("Add", [scaled, graph.constant("FP32", Float32Array.of(output.offset), [1], "offset")]);
    }
  }
};
