import type { GraphBuilder, GraphValue } from "./graph-builder.ts";
import type { Categories, InputDatatype, NetworkInput } from "./network-input.ts";

/** Stands for null, and for what is no whole number, among integer categories. */
const noCategory = -(2n ** 63n);

/**
 * Adds the nodes that prepare one raw input of shape [rows, 1]. Numbers are computed in FP64 and rounded to FP32 once,
 * at the end. Answers FP32 columns [rows, columns], or for an embedding the index, INT64 of [rows, 1].
 */
export const exportPreparation = (
  graph: GraphBuilder,
  { datatype, preparation }: NetworkInput,
  raw: GraphValue,
): GraphValue => {
  switch (preparation.kind) {
    case "standardize": {
      const { log1p, mean, deviation } = preparation;
      const { value, present } = number(graph, raw, datatype);
      const scaled = log1p ? signedLogarithm(graph, value) : value;
      const centred = graph.node("Sub", [scaled, double(graph, mean)]);
      const divided = graph.node("Div", [centred, double(graph, deviation)]);
      return toFloat(graph, whereOrZero(graph, present, divided));
    }
    case "cyclic": {
      const { value, present } = number(graph, raw, datatype);
      const angle = graph.node("Mul", [value, double(graph, (2 * Math.PI) / preparation.period)]);
      const both = graph.node("Concat", [graph.node("Sin", [angle]), graph.node("Cos", [angle])], {
        attributes: { axis: 1n },
      });
      return toFloat(graph, whereOrZero(graph, present, both));
    }
    case "one-hot": {
      const index = categoryIndex(graph, raw, datatype, preparation.categories);
      const places = BigInt64Array.from({ length: preparation.categories.length + 1 }, (_, place) => BigInt(place));
      const hot = graph.node("Equal", [index, graph.constant("INT64", places, [1, places.length], "places")]);
      return toFloat(graph, hot);
    }
    case "embedding":
      return categoryIndex(graph, raw, datatype, preparation.categories);
  }
};

const double = (graph: GraphBuilder, value: number): GraphValue =>
  graph.constant("FP64", Float64Array.of(value), [1], "number");

const cast = (graph: GraphBuilder, value: GraphValue, to: bigint): GraphValue =>
  graph.node("Cast", [value], { attributes: { to } });
const toFloat = (graph: GraphBuilder, value: GraphValue): GraphValue => cast(graph, value, 1n);
const toInteger = (graph: GraphBuilder, value: GraphValue): GraphValue => cast(graph, value, 7n);
const toDouble = (graph: GraphBuilder, value: GraphValue): GraphValue => cast(graph, value, 11n);

/** The input as FP64, and where it is a finite number; `present` is undefined for types without null. */
const number = (
  graph: GraphBuilder,
  raw: GraphValue,
  datatype: InputDatatype,
): { value: GraphValue; present: GraphValue | undefined } => {
  if (datatype === "BYTES") {
    throw new TypeError("A string cannot be prepared as a number.");
  }
  const value = datatype === "FP64" ? raw : toDouble(graph, raw);
  if (datatype === "INT64" || datatype === "BOOL") {
    return { value, present: undefined };
  }
  const absent = graph.node("Or", [graph.node("IsNaN", [value]), graph.node("IsInf", [value])]);
  return { value, present: graph.node("Not", [absent]) };
};

const whereOrZero = (graph: GraphBuilder, present: GraphValue | undefined, value: GraphValue): GraphValue =>
  present === undefined ? value : graph.node("Where", [present, value, double(graph, 0)]);

/** sign(x) · log(1 + |x|). */
const signedLogarithm = (graph: GraphBuilder, value: GraphValue): GraphValue => {
  const logarithm = graph.node("Log", [graph.node("Add", [graph.node("Abs", [value]), double(graph, 1)])]);
  return graph.node("Mul", [graph.node("Sign", [value]), logarithm]);
};

const categoryIndex = (
  graph: GraphBuilder,
  raw: GraphValue,
  datatype: InputDatatype,
  categories: Categories,
): GraphValue => {
  const index = {
    values_int64s: categories.map((_, place) => BigInt(place)),
    default_int64: BigInt(categories.length),
  };
  const strings = categories.filter((category) => typeof category === "string");
  const integers = categories.filter((category) => typeof category === "bigint");
  if (datatype === "BYTES") {
    if (integers.length > 0) {
      throw new TypeError("Categories of a string must be strings.");
    }
    return graph.node("LabelEncoder", [raw], { domain: "ai.onnx.ml", attributes: { keys_strings: strings, ...index } });
  }
  if (strings.length > 0) {
    throw new TypeError("Categories of a number must be whole numbers.");
  }
  return graph.node("LabelEncoder", [wholeNumber(graph, raw, datatype)], {
    domain: "ai.onnx.ml",
    attributes: { keys_int64s: integers, ...index },
  });
};

/** The input as INT64; what is no whole number within ±2^53 becomes `noCategory`. */
const wholeNumber = (graph: GraphBuilder, raw: GraphValue, datatype: InputDatatype): GraphValue => {
  if (datatype === "INT64") {
    return raw;
  }
  if (datatype === "BOOL") {
    return toInteger(graph, raw);
  }
  const value = datatype === "FP64" ? raw : toDouble(graph, raw);
  const whole = graph.node("Equal", [graph.node("Floor", [value]), value]);
  const small = graph.node("Less", [graph.node("Abs", [value]), double(graph, 2 ** 53)]);
  const usable = graph.node("And", [whole, small]);
  const safe = graph.node("Where", [usable, value, double(graph, 0)]);
  const sentinel = graph.constant("INT64", BigInt64Array.of(noCategory), [1], "no_category");
  return graph.node("Where", [usable, toInteger(graph, safe), sentinel]);
};
