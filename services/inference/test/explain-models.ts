import { create } from "@bufbuild/protobuf";
import { ValueType } from "@millrace/contracts/millrace/feature/v1/column";
import { GoldenSchema, Meaning, ModelPackageSchema } from "@millrace/contracts/millrace/model/v1/model_package";
import type { PackageContent } from "@millrace/model-package";
import { GraphBuilder } from "@millrace/onnx";
import { buildBaseline } from "@millrace/stats";
import { bytesOf, encodeStrings } from "@millrace/tensor";

/** `score = w · x + offset` for FP32 [rows, width]. */
export const linearModel = (weights: readonly number[], offset: number): Uint8Array => {
  const graph = new GraphBuilder("linear");
  const x = graph.input("x", "FP32", ["rows", weights.length]);
  const product = graph.node("MatMul", [x, graph.constant("FP32", Float32Array.from(weights), [weights.length, 1])]);
  const sum = graph.node("Add", [product, graph.constant("FP32", Float32Array.of(offset), [1])]);
  graph.output("score", sum, "FP32", ["rows", 1]);
  return graph.toBytes();
};

/** `score = tanh(x M) · v`, FP32 [rows, width] → [rows, 1]: every element interacts with every other. */
export const interactingModel = (width: number): Uint8Array => {
  const graph = new GraphBuilder("interacting");
  const x = graph.input("x", "FP32", ["rows", width]);
  const weights = Float32Array.from({ length: width * 8 }, (_, at) => Math.sin(at * 1.7));
  const hidden = graph.node("Tanh", [graph.node("MatMul", [x, graph.constant("FP32", weights, [width, 8])])]);
  const last = Float32Array.from({ length: 8 }, (_, at) => Math.cos(at) * 2);
  graph.output("score", graph.node("MatMul", [hidden, graph.constant("FP32", last, [8, 1])]), "FP32", ["rows", 1]);
  return graph.toBytes();
};

/**
 * `score = [a · b + level(city), a]`, FP32 [rows, 2], where level is 10 for NL, 20 for BE, else 0; beside it the city as
 * it came. `count` is an INT64 that changes nothing.
 */
export const mixedModel = (): Uint8Array => {
  const graph = new GraphBuilder("mixed");
  const a = graph.input("a", "FP32", ["rows", 1]);
  const b = graph.input("b", "FP32", ["rows", 1]);
  const city = graph.input("city", "BYTES", ["rows", 1]);
  const count = graph.input("count", "INT64", ["rows", 1]);
  const level = graph.node("LabelEncoder", [city], {
    domain: "ai.onnx.ml",
    attributes: { keys_strings: ["NL", "BE"], values_floats: [10, 20], default_float: 0 },
  });
  const sum = graph.node("Add", [graph.node("Mul", [a, b]), level]);
  graph.output("score", graph.node("Concat", [sum, a], { attributes: { axis: 1n } }), "FP32", ["rows", 2]);
  graph.output("place", graph.node("Identity", [city]), "BYTES", ["rows", 1]);
  graph.output("counted", graph.node("Identity", [count]), "INT64", ["rows", 1]);
  return graph.toBytes();
};

/**
 * A package whose graph answers `score = delay + (city is NL ? 100 : 0)`, a null delay as 0. Its baseline has delays of
 * 10, 20 and null by a quarter, a quarter and a half, and NL three times in four; its golden examples as many rows as
 * are asked for, of delay 7 in NL. Its calibration, where it has one, makes a probability of the score: 0 of 0, 1 of 200.
 */
export const explainedPackage = (goldenRows: number, calibrated = false): PackageContent => {
  const graph = new GraphBuilder("explained");
  const delay = graph.input("delay", "FP32", ["rows", 1]);
  const city = graph.input("city", "BYTES", ["rows", 1]);
  const zero = graph.constant("FP32", Float32Array.of(0), [1]);
  const known = graph.node("Where", [graph.node("IsNaN", [delay]), zero, delay]);
  const level = graph.node("LabelEncoder", [city], {
    domain: "ai.onnx.ml",
    attributes: { keys_strings: ["NL"], values_floats: [100], default_float: 0 },
  });
  graph.output("score", graph.node("Add", [known, level]), "FP32", ["rows", 1]);
  const rows = 400;
  const delays = Float64Array.from({ length: rows }, (_, row) => [10, 20, Number.NaN, Number.NaN][row % 4] ?? 0);
  const spec = (name: string, datatype: string) => ({ name, datatype, shape: [-1n, 1n], batched: true });
  const shape = [BigInt(goldenRows), 1n];
  return {
    manifest: create(ModelPackageSchema, {
      name: "explained",
      signature: {
        inputs: [spec("delay", "FP32"), spec("city", "BYTES")],
        outputs: [{ ...spec("score", "FP32"), meaning: Meaning.PROBABILITY }],
      },
      ...(calibrated ? { calibration: { scores: [0, 200], probabilities: [0, 1] } } : {}),
      features: {
        featureService: "flights",
        featureServiceVersion: "v1",
        schemaHash: "of training",
        inputs: [
          { input: "delay", feature: "airport__delay", type: ValueType.DOUBLE },
          { input: "city", feature: "airport__name", type: ValueType.STRING },
        ],
      },
    }),
    model: graph.toBytes(),
    baseline: buildBaseline({
      columns: [
        {
          name: "airport__delay",
          meaning: Meaning.NUMERIC,
          values: delays,
          nulls: Uint8Array.from(delays, (value) => Number(Number.isNaN(value))),
        },
        {
          name: "airport__name",
          meaning: Meaning.CATEGORICAL,
          values: Array.from({ length: rows }, (_, row) => (row < 300 ? "NL" : "BE")),
        },
      ],
      eventTimesUs: BigInt64Array.from({ length: rows }, (_, row) => BigInt(row % 3) * 86_400_000_000n),
    }),
    golden: create(GoldenSchema, {
      absoluteTolerance: 1e-4,
      relativeTolerance: 1e-4,
      examples: [
        {
          inputs: [
            { name: "delay", datatype: "FP32", shape, data: bytesOf(new Float32Array(goldenRows).fill(7)) },
            { name: "city", datatype: "BYTES", shape, data: encodeStrings(new Array<string>(goldenRows).fill("NL")) },
          ],
          outputs: [{ name: "score", datatype: "FP32", shape, data: bytesOf(new Float32Array(goldenRows).fill(107)) }],
        },
      ],
    }),
  };
};
