import type { LayersModel, layers, SymbolicTensor } from "@tensorflow/tfjs";
import { exportActivation } from "./export-activation.ts";
import type { GraphBuilder, GraphValue } from "./graph-builder.ts";
import { LayerUnsupportedError } from "./layer-unsupported-error.ts";

type Layer = layers.Layer;

/** What an exporter of one kind of layer works with. */
interface LayerToExport {
  readonly graph: GraphBuilder;
  readonly layer: Layer;
  readonly inputs: readonly GraphValue[];
  readonly first: GraphValue;
  readonly config: Readonly<Record<string, unknown>>;
  /** Rank of the first input, batch included. */
  readonly rank: number;
  refuse(why: string): LayerUnsupportedError;
}

/**
 * Adds a tfjs layers model to a graph, layer by layer, as it answers when it is not training: dropout and noise are
 * gone, batch normalization uses its moving averages.
 *
 * @param inputs one value for each of the model's inputs, in its order; those of embeddings are INT64, all others FP32.
 * @returns one value for each of the model's outputs, FP32.
 * @throws LayerUnsupportedError naming the first layer that has no exporter.
 */
export const exportLayers = (graph: GraphBuilder, model: LayersModel, inputs: readonly GraphValue[]): GraphValue[] => {
  const values = new Map<number, GraphValue>();
  model.inputs.forEach((symbol, place) => {
    const value = inputs[place];
    if (value === undefined) {
      throw new TypeError(`The network has ${model.inputs.length} inputs; ${inputs.length} were given.`);
    }
    values.set(symbol.id, value);
  });
  for (const layer of model.layers) {
    if (layer.getClassName() === "InputLayer") {
      continue;
    }
    const refuse = (why: string): LayerUnsupportedError =>
      new LayerUnsupportedError(layer.name, layer.getClassName(), why);
    if (layer.inboundNodes.length !== 1) {
      throw refuse("it is used more than once");
    }
    const exporter = exporters[layer.getClassName()];
    if (exporter === undefined) {
      throw refuse(`only ${Object.keys(exporters).join(", ")} can be`);
    }
    const symbols = asArray(layer.input);
    const inputValues = symbols.map((symbol) => valueNamed(values, symbol));
    const [first] = inputValues;
    if (first === undefined) {
      throw refuse("it has no input");
    }
    const output = exporter({
      graph,
      layer,
      inputs: inputValues,
      first,
      config: layer.getConfig(),
      rank: symbols[0]?.rank ?? 0,
      refuse,
    });
    for (const symbol of asArray(layer.output)) {
      values.set(symbol.id, output);
    }
  }
  return model.outputs.map((symbol) => valueNamed(values, symbol));
};

const asArray = (symbols: SymbolicTensor | SymbolicTensor[]): SymbolicTensor[] =>
  Array.isArray(symbols) ? symbols : [symbols];

const valueNamed = (values: ReadonlyMap<number, GraphValue>, symbol: SymbolicTensor): GraphValue => {
  const value = values.get(symbol.id);
  if (value === undefined) {
    throw new TypeError(`No layer before gives ${symbol.name}.`);
  }
  return value;
};

const activation = ({ graph, refuse }: LayerToExport, name: unknown, value: GraphValue): GraphValue => {
  const activated = exportActivation(graph, String(name ?? "linear"), value);
  if (activated === undefined) {
    throw refuse(`its activation ${String(name)} has no operator`);
  }
  return activated;
};

const identity = ({ first }: LayerToExport): GraphValue => first;

const merge =
  (operator: string) =>
  ({ graph, inputs }: LayerToExport): GraphValue =>
    inputs.reduce((sum, input) => graph.node(operator, [sum, input]));

/** Layers are numbered by tfjs through the whole process, so that their names would make equal networks differ. */
const weightsOf = ({ graph, layer }: LayerToExport): GraphValue[] =>
  layer
    .getWeights()
    .map((weight) => graph.constant("FP32", Float32Array.from(weight.dataSync()), weight.shape, "weight"));

/** Gamma and beta, 1 and 0 where the layer does without; and whatever weights follow. */
const scaleAndCentre = (
  toExport: LayerToExport,
  width: number,
): { gamma: GraphValue; beta: GraphValue; rest: GraphValue[] } => {
  const { graph, config } = toExport;
  const rest = weightsOf(toExport);
  const gamma = config.scale === true ? rest.shift() : graph.constant("FP32", new Float32Array(width).fill(1), [width]);
  const beta = config.center === true ? rest.shift() : graph.constant("FP32", new Float32Array(width), [width]);
  if (gamma === undefined || beta === undefined) {
    throw new TypeError(`${toExport.layer.name} lacks weights.`);
  }
  return { gamma, beta, rest };
};

const lastAxis = ({ config, rank, layer, refuse }: LayerToExport): number => {
  const axis = [config.axis ?? -1].flat();
  if (axis.length !== 1 || (axis[0] !== -1 && axis[0] !== rank - 1)) {
    throw refuse(`it normalizes axis ${axis.join(", ")}; only the last one can be`);
  }
  const width = asArray(layer.input)[0]?.shape.at(-1);
  if (typeof width !== "number") {
    throw refuse("the width of its input is not known");
  }
  return width;
};

const exporters: Readonly<Record<string, (toExport: LayerToExport) => GraphValue>> = {
  Dense: (toExport) => {
    const { graph, first, config, rank } = toExport;
    const [kernel, bias] = weightsOf(toExport);
    if (kernel === undefined) {
      throw new TypeError(`${toExport.layer.name} lacks weights.`);
    }
    if (rank === 2) {
      const sum = graph.node("Gemm", bias === undefined ? [first, kernel] : [first, kernel, bias]);
      return activation(toExport, config.activation, sum);
    }
    const product = graph.node("MatMul", [first, kernel]);
    return activation(toExport, config.activation, bias === undefined ? product : graph.node("Add", [product, bias]));
  },
  Activation: (toExport) => activation(toExport, toExport.config.activation, toExport.first),
  ReLU: (toExport) => {
    if (toExport.config.maxValue !== undefined && toExport.config.maxValue !== null) {
      throw toExport.refuse("its maximum has no operator; use the activation relu6");
    }
    return activation(toExport, "relu", toExport.first);
  },
  ELU: ({ graph, first, config }) => graph.node("Elu", [first], { attributes: { alpha: Number(config.alpha ?? 1) } }),
  LeakyReLU: ({ graph, first, config }) =>
    graph.node("LeakyRelu", [first], { attributes: { alpha: Number(config.alpha ?? 0.3) } }),
  Softmax: (toExport) => activation(toExport, "softmax", toExport.first),
  Dropout: identity,
  SeededDropout: identity,
  GaussianDropout: identity,
  GaussianNoise: identity,
  AlphaDropout: identity,
  BatchNormalization: (toExport) => {
    const { graph, first, config, rank, refuse } = toExport;
    const width = lastAxis(toExport);
    if (rank !== 2) {
      throw refuse(`its input has rank ${rank}; only rows of columns can be`);
    }
    const { gamma, beta, rest } = scaleAndCentre(toExport, width);
    return graph.node("BatchNormalization", [first, gamma, beta, ...rest], {
      attributes: { epsilon: Number(config.epsilon) },
    });
  },
  LayerNormalization: (toExport) => {
    const { graph, first, config } = toExport;
    const { gamma, beta } = scaleAndCentre(toExport, lastAxis(toExport));
    return graph.node("LayerNormalization", [first, gamma, beta], {
      attributes: { axis: -1n, epsilon: Number(config.epsilon) },
    });
  },
  Embedding: (toExport) => {
    const { graph, first, config, refuse } = toExport;
    if (config.maskZero === true) {
      throw refuse("its mask has no operator");
    }
    const [table] = weightsOf(toExport);
    if (table === undefined) {
      throw new TypeError(`${toExport.layer.name} lacks weights.`);
    }
    return graph.node("Gather", [table, first]);
  },
  Concatenate: ({ graph, inputs, config }) =>
    graph.node("Concat", inputs, { attributes: { axis: BigInt(Number(config.axis ?? -1)) } }),
  Add: merge("Add"),
  Multiply: merge("Mul"),
  Maximum: merge("Max"),
  Minimum: merge("Min"),
  Average: (toExport) => {
    const { graph, inputs } = toExport;
    return graph.node("Div", [merge("Add")(toExport), graph.constant("FP32", Float32Array.of(inputs.length), [1])]);
  },
  Flatten: ({ graph, first }) => graph.node("Flatten", [first], { attributes: { axis: 1n } }),
  Reshape: ({ graph, first, config, refuse }) => {
    const target = config.targetShape;
    if (!Array.isArray(target) || target.some((length) => typeof length !== "number")) {
      throw refuse("its shape is not known");
    }
    // 0 keeps the batch as it is.
    const shape = BigInt64Array.of(0n, ...target.map((length: number) => BigInt(length)));
    return graph.node("Reshape", [first, graph.constant("INT64", shape, [shape.length], "shape")]);
  },
};

/** The tfjs layers that can be exported, by class name. */
export const exportableLayers: ReadonlySet<string> = new Set(Object.keys(exporters));
