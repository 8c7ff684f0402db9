import type { GraphBuilder, GraphValue } from "./graph-builder.ts";

const simple: Readonly<Record<string, string>> = {
  relu: "Relu",
  selu: "Selu",
  sigmoid: "Sigmoid",
  softplus: "Softplus",
  softsign: "Softsign",
  tanh: "Tanh",
};

/** The activations that exportActivation knows, by their tfjs names. */
export const exportableActivations: ReadonlySet<string> = new Set([
  ...Object.keys(simple),
  "linear",
  "elu",
  "relu6",
  "hardSigmoid",
  "softmax",
  "logSoftmax",
  "swish",
  "mish",
  "gelu",
  "gelu_new",
]);

/** Adds an activation by its tfjs name; undefined for one that is not known. */
export const exportActivation = (graph: GraphBuilder, name: string, value: GraphValue): GraphValue | undefined => {
  const operator = simple[name];
  if (operator !== undefined) {
    return graph.node(operator, [value]);
  }
  const scalar = (x: number): GraphValue => graph.constant("FP32", Float32Array.of(x), []);
  switch (name) {
    case "linear":
      return value;
    case "elu":
      return graph.node("Elu", [value], { attributes: { alpha: 1 } });
    case "relu6":
      return graph.node("Clip", [value, scalar(0), scalar(6)]);
    case "hardSigmoid":
      return graph.node("HardSigmoid", [value], { attributes: { alpha: 0.2, beta: 0.5 } });
    case "softmax":
      return graph.node("Softmax", [value], { attributes: { axis: -1n } });
    case "logSoftmax":
      return graph.node("LogSoftmax", [value], { attributes: { axis: -1n } });
    case "swish":
      return graph.node("Mul", [value, graph.node("Sigmoid", [value])]);
    case "mish":
      return graph.node("Mul", [value, graph.node("Tanh", [graph.node("Softplus", [value])])]);
    case "gelu":
      return graph.node("Gelu", [value], { attributes: { approximate: "none" } });
    case "gelu_new":
      return graph.node("Gelu", [value], { attributes: { approximate: "tanh" } });
    default:
      return undefined;
  }
};
