import { Meaning, Task } from "@millrace/contracts/millrace/model/v1/model_package";
import type { NetworkInput } from "@millrace/onnx";
import type { ColumnData } from "@millrace/stats";
import type { FeatureColumn } from "../dataset/training-table.ts";
import { categoryAt, numberAt } from "../preparation/fit-preparation.ts";

/** The model's inputs and its output as columns of the baseline, over the given rows. */
export const baselineColumns = (
  inputs: readonly NetworkInput[],
  features: readonly FeatureColumn[],
  rows: Uint32Array,
  output: { readonly name: string; readonly scores: Float32Array; readonly task: Task },
): ColumnData[] => [
  ...features.map((feature, place) => columnOf(feature, inputs[place], rows)),
  {
    name: output.name,
    meaning: output.task === Task.BINARY ? Meaning.PROBABILITY : Meaning.ESTIMATE,
    output: true,
    values: output.scores,
  },
];

const columnOf = ({ name, data }: FeatureColumn, input: NetworkInput | undefined, rows: Uint32Array): ColumnData => {
  const kind = input?.preparation.kind;
  if (kind === "one-hot" || kind === "embedding") {
    const at = categoryAt(data);
    const values = Array.from(rows, (row) => at(row)?.toString());
    return { name, meaning: Meaning.CATEGORICAL, values: data.kind === "boolean" ? values.map(asBoolean) : values };
  }
  const at = numberAt(data);
  const values = Float64Array.from(rows, at);
  return {
    name,
    meaning: Meaning.NUMERIC,
    values,
    nulls: Uint8Array.from(values, (value) => (Number.isNaN(value) ? 1 : 0)),
  };
};

/** As monitoring writes a served boolean. */
const asBoolean = (category: string | undefined): string | undefined =>
  category === undefined ? undefined : category === "1" ? "true" : "false";
