import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { ValueType } from "@millrace/contracts/millrace/feature/v1/column";
import { GoldenSchema, Meaning, ModelPackageSchema, Task } from "@millrace/contracts/millrace/model/v1/model_package";
import type { PackageContent } from "@millrace/model-package";
import { GraphBuilder } from "@millrace/onnx";
import { bytesOf, encodeStrings } from "@millrace/tensor";
import { scaleModel } from "./models.ts";

/**
 * A package whose graph answers `score = factor * delay + distance`, where a null delay counts as 0, and `name` as it
 * came. `delay` and `name` are features, `distance` is a column of the request.
 */
export const flightPackage = (
  factor: number,
  options: {
    golden?: number;
    delayType?: ValueType;
    featureService?: string;
    /** Of the score, as if it were a probability. */
    calibration?: { scores: number[]; probabilities: number[] };
  } = {},
): PackageContent => {
  const graph = new GraphBuilder("flight");
  const delay = graph.input("delay", "FP32", ["rows", 1]);
  const distance = graph.input("distance", "FP32", ["rows", 1]);
  const name = graph.input("name", "BYTES", ["rows", 1]);
  const zero = graph.constant("FP32", Float32Array.of(0), [1]);
  const known = graph.node("Where", [graph.node("IsNaN", [delay]), zero, delay]);
  const scaled = graph.node("Mul", [known, graph.constant("FP32", Float32Array.of(factor), [1])]);
  graph.output("score", graph.node("Add", [scaled, distance]), "FP32", ["rows", 1]);
  graph.output("airport", graph.node("Identity", [name]), "BYTES", ["rows", 1]);
  const float = (value: number) => bytesOf(Float32Array.of(value));
  const spec = (tensor: string, datatype: string) => ({ name: tensor, datatype, shape: [-1n, 1n], batched: true });
  const feature = (input: string, featureName: string, type: ValueType) => ({ input, feature: featureName, type });
  const manifest: MessageInitShape<typeof ModelPackageSchema> = {
    name: "flight_delay",
    signature: {
      inputs: [spec("delay", "FP32"), spec("distance", "FP32"), spec("name", "BYTES")],
      outputs: [
        { ...spec("score", "FP32"), meaning: options.calibration === undefined ? 0 : Meaning.PROBABILITY },
        spec("airport", "BYTES"),
      ],
    },
    ...(options.calibration === undefined ? {} : { calibration: options.calibration, task: Task.BINARY }),
    features: {
      featureService: options.featureService ?? "flights",
      featureServiceVersion: "v1",
      schemaHash: "of training",
      inputs: [
        feature("delay", "airport__delay", options.delayType ?? ValueType.DOUBLE),
        feature("name", "airport__name", ValueType.STRING),
        feature("distance", "distance", ValueType.DOUBLE),
      ],
    },
  };
  return {
    manifest: create(ModelPackageSchema, manifest),
    model: graph.toBytes(),
    golden: create(GoldenSchema, {
      absoluteTolerance: 1e-5,
      relativeTolerance: 1e-5,
      examples: [
        {
          inputs: [
            { name: "delay", datatype: "FP32", shape: [1n, 1n], data: float(2) },
            { name: "distance", datatype: "FP32", shape: [1n, 1n], data: float(1) },
            { name: "name", datatype: "BYTES", shape: [1n, 1n], data: encodeStrings(["ATL"]) },
          ],
          outputs: [
            { name: "score", datatype: "FP32", shape: [1n, 1n], data: float(options.golden ?? 2 * factor + 1) },
            { name: "airport", datatype: "BYTES", shape: [1n, 1n], data: encodeStrings(["ATL"]) },
          ],
        },
      ],
    }),
  };
};

/** A package whose graph answers `y = factor * x`, FP32 [rows, 1]: a version can be told by its factor. */
export const scalePackage = (factor: number, model = scaleModel(factor), golden = factor): PackageContent => {
  const example = (name: string, value: number) => ({
    name,
    datatype: "FP32",
    shape: [1n, 1n],
    data: bytesOf(Float32Array.of(value)),
  });
  const spec = (name: string) => ({ name, datatype: "FP32", shape: [-1n, 1n], batched: true });
  return {
    manifest: create(ModelPackageSchema, {
      name: "scale",
      signature: { inputs: [spec("x")], outputs: [spec("y")] },
    }),
    model,
    golden: create(GoldenSchema, {
      absoluteTolerance: 1e-5,
      relativeTolerance: 1e-5,
      examples: [{ inputs: [example("x", 1)], outputs: [example("y", golden)] }],
    }),
  };
};
