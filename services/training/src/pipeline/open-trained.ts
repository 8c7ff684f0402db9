import type { FeatureColumn, TrainingTable } from "../dataset/training-table.ts";
import { PackageModel } from "../evaluation/score-rows.ts";
import type { TrainedModel } from "./trained-model.ts";

/** Opens a trained model over the dataset. @returns with the columns that it reads, in the order of its inputs. */
export const openTrained = async (
  { model, inputs }: TrainedModel,
  { features }: TrainingTable,
): Promise<{ readonly scored: PackageModel; readonly columns: readonly FeatureColumn[] }> => {
  const read = inputs.map(({ name, datatype }) => {
    const column = features.find((feature) => feature.name === name);
    if (column === undefined) {
      throw new TypeError(`There is no column for the input ${name}.`);
    }
    return { name, datatype, column };
  });
  return { scored: await PackageModel.open(model, read), columns: read.map(({ column }) => column) };
};
