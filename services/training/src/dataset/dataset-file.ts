import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { deserialize, serialize } from "node:v8";
import { replaceFile } from "../network/checkpoint.ts";
import type { TrainingTable } from "./training-table.ts";

const fileOf = (runFolder: string): string => join(runFolder, "dataset.bin");

/** Keeps the dataset in the run's folder, so that a run that goes on after a restart learns from the same rows. */
export const writeDatasetFile = async (runFolder: string, table: TrainingTable): Promise<void> => {
  await replaceFile(fileOf(runFolder), serialize(table));
};

/** The dataset that the run has read before; undefined where it has not. */
export const readDatasetFile = async (runFolder: string): Promise<TrainingTable | undefined> => {
  try {
    return deserialize(await readFile(fileOf(runFolder))) as TrainingTable;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") {
      return undefined;
    }
    throw error;
  }
};
