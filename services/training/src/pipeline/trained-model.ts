import type { TrainingSpec } from "@millrace/contracts/millrace/training/v1/training_spec";
import type { NetworkInput } from "@millrace/onnx";
import type { SplitDataset } from "../dataset/split-dataset.ts";
import type { TrainingTable } from "../dataset/training-table.ts";
import type { RunOrder, RunReport } from "./run-report.ts";

/** What a trainer works with. */
export interface TrainingTask {
  readonly spec: TrainingSpec;
  readonly table: TrainingTable;
  readonly split: SplitDataset;
  /** All features of the dataset, as our own networks read them. */
  readonly inputs: readonly NetworkInput[];
  readonly order: RunOrder;
  /** Where a program finds the dataset: written once a run, for all trials of a search. */
  readonly programDataset: string;
  /** Of the trial of a search. */
  readonly parameters?: Readonly<Record<string, number>>;
  readonly signal: AbortSignal;
  report(message: RunReport): void;
}

/** What a trainer has made, whichever it was. */
export interface TrainedModel {
  /** ONNX: raw features in, and one number a row as the first output. */
  readonly model: Uint8Array;
  /** The features that it reads, in the order of its inputs. */
  readonly inputs: readonly NetworkInput[];
  /** The first output's name. */
  readonly outputName: string;
  /** For the lineage: what has trained it. */
  readonly trainer: string;
  /** Those that a search chose. */
  readonly parameters?: Readonly<Record<string, number>>;
  /** Compares the model's answers with those of what was trained, where that is at hand. @throws ExportMismatchError */
  check(rows: Uint32Array, scores: Float32Array): void;
  /** Gives back the memory of what was trained; `check` cannot be called any more. */
  close(): void;
}
