import type { FeatureServiceStatus } from "@millrace/contracts/millrace/feature/v1/feature_service";
import type { TrainingSpec } from "@millrace/contracts/millrace/training/v1/training_spec";
import { readDatasetFile, writeDatasetFile } from "../dataset/dataset-file.ts";
import { DatasetUnusableError } from "../dataset/dataset-unusable-error.ts";
import { readExamples } from "../dataset/read-examples.ts";
import { readTrainingSet } from "../dataset/read-training-set.ts";
import type { TrainingTable } from "../dataset/training-table.ts";
import type { RunOrder, RunReport } from "./run-report.ts";

/** A run's dataset and, where feature-serving gave it, what that said of the features. */
export interface LoadedDataset {
  readonly table: TrainingTable;
  readonly featureService: FeatureServiceStatus | undefined;
}

/** Reads the dataset: what feature-serving has sent before the process began, or files alone. */
export const loadDataset = async (
  spec: TrainingSpec,
  order: RunOrder,
  report: (message: RunReport) => void,
  signal: AbortSignal,
): Promise<LoadedDataset> => {
  const { dataset } = spec;
  if (dataset === undefined) {
    throw new DatasetUnusableError("dataset", "a dataset", "none");
  }
  if (dataset.featureService !== "") {
    return await readTrainingSet(dataset, order.runFolder);
  }
  const kept = await readDatasetFile(order.runFolder);
  if (kept !== undefined) {
    return { table: kept, featureService: undefined };
  }
  const table = await readExamples(dataset, order.location, signal, (rows) =>
    report({ kind: "rows", rows, totalRows: 0 }),
  );
  await writeDatasetFile(order.runFolder, table);
  return { table, featureService: undefined };
};
