import { create } from "@bufbuild/protobuf";
import { type Golden, GoldenExampleSchema, GoldenSchema } from "@millrace/contracts/millrace/model/v1/model_package";
import { type Tensor as TensorMessage, TensorSchema } from "@millrace/contracts/millrace/tensor/v1/tensor";
import { bytesOf, type Tensor } from "@millrace/tensor";
import type { FeatureColumn } from "../dataset/training-table.ts";
import type { PackageModel } from "../evaluation/score-rows.ts";
import { numberAt } from "../preparation/fit-preparation.ts";

const goldenRows = 16;

/**
 * Rows that whoever serves the package must reproduce before it takes traffic: some of the test split, spread over it,
 * and for each feature the first row in which it is null. All are one example, a batch.
 */
export const buildGolden = async (
  model: PackageModel,
  outputName: string,
  features: readonly FeatureColumn[],
  test: Uint32Array,
  signal: AbortSignal,
): Promise<Golden> => {
  const stride = Math.max(1, Math.floor(test.length / goldenRows));
  const spread = Array.from(
    { length: Math.min(goldenRows, test.length) },
    (_, place) => test[place * stride] as number,
  );
  const withNull = features.map(({ data }) => {
    const at = numberAt(data);
    return test.find((row) => (data.kind === "string" ? data.values[row] === "" : Number.isNaN(at(row))));
  });
  const rows = Uint32Array.from(new Set([...spread, ...withNull.filter((row) => row !== undefined)]));
  const inputs = model.tensors(rows).map(message);
  const scores = await model.score(rows, signal);
  const output = { name: outputName, datatype: "FP32", shape: [rows.length, 1], data: bytesOf(scores) } as const;
  return create(GoldenSchema, {
    examples: [create(GoldenExampleSchema, { inputs, outputs: [message(output)] })],
    absoluteTolerance: 1e-5,
    relativeTolerance: 1e-4,
  });
};

const message = ({ name, datatype, shape, data }: Tensor): TensorMessage =>
  create(TensorSchema, { name, datatype, shape: shape.map(BigInt), data: Uint8Array.from(data) });
