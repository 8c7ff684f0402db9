import type { RunPhase } from "@millrace/contracts/millrace/training/v1/training_service";
import type { DataLocation } from "@millrace/feature-definition/duckdb";
import type { CalibrationBin } from "@millrace/stats";
import type { FinishedEpoch } from "../network/checkpoint.ts";
import type { TrialResult } from "../search/search-model.ts";

/** What a run is to do: all that its process needs to know. Survives a restart as part of the run's folder. */
export interface RunOrder {
  /** The TrainingSpec as protobuf. */
  readonly spec: Uint8Array;
  readonly codeRevision: string;
  /** Where the run keeps its dataset and its checkpoint. */
  readonly runFolder: string;
  /** Where files and databases of examples are found. */
  readonly location: DataLocation;
  readonly modelStoreUrl: string;
  /** Where programs of `command` trainers start. */
  readonly trainerFolder: string;
  /** Gets what such a program prints. */
  readonly logFile: string;
}

/** What a run's process says while it works. */
export type RunReport =
  | { readonly kind: "phase"; readonly phase: RunPhase; readonly detail: string }
  | { readonly kind: "rows"; readonly rows: number; readonly totalRows: number }
  | {
      readonly kind: "training";
      readonly epoch: number;
      readonly totalEpochs: number;
      readonly rows: number;
      readonly totalRows: number;
      readonly loss: number;
      readonly secondsLeft: number;
    }
  | { readonly kind: "epoch"; readonly epoch: FinishedEpoch }
  | {
      readonly kind: "dataset";
      readonly snapshotId: string;
      readonly trainingRows: number;
      readonly validationRows: number;
      readonly testRows: number;
    }
  | { readonly kind: "backend"; readonly text: string }
  /** Those that have ended, and the number of the best so far. */
  | { readonly kind: "trials"; readonly trials: readonly TrialResult[]; readonly chosen: number | undefined }
  /** Replaces the epochs told before: a run goes on, another trial begins, or one was chosen. */
  | { readonly kind: "epochs"; readonly epochs: readonly FinishedEpoch[] }
  /** The last lines that a program has printed. */
  | { readonly kind: "log"; readonly lines: readonly string[] }
  /** What a program says of its own model. */
  | { readonly kind: "reported"; readonly metrics: Readonly<Record<string, number>> }
  | {
      readonly kind: "packaged";
      /** The Evaluation as protobuf. */
      readonly evaluation: Uint8Array;
      readonly reference: string;
      readonly digest: string;
      readonly tags: readonly string[];
      readonly calibrationBins: readonly CalibrationBin[];
      /** By input. */
      readonly importance: Readonly<Record<string, number>>;
      /** Why the gates rejected it; empty where they did not. */
      readonly rejectedBecause: string;
    };
