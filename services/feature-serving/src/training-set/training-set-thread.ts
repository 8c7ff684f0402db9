import type { DataLocation, TrainingSetPart } from "@millrace/feature-definition/duckdb";
import type { TombstoneData } from "../erasure/tombstones.ts";
import { streamFromThread } from "../thread-stream.ts";

/** What the thread of one training set is started with. Messages travel as their bytes. */
export interface TrainingSetThreadData {
  /** GetRepositoryResponse: the definitions in force when the call came. */
  readonly applied: Uint8Array;
  /** GetTrainingSetRequest. */
  readonly request: Uint8Array;
  readonly batchData: DataLocation;
  readonly tombstones: TombstoneData;
  /** Where a Parquet file is to be written, in place of an Arrow stream. */
  readonly outParquet?: string;
}

/** Builds a training set in a thread of its own. */
export function trainingSetInThread(data: TrainingSetThreadData, signal: AbortSignal): AsyncGenerator<TrainingSetPart> {
  return streamFromThread(new URL("./training-set-thread-entry", import.meta.url), data, signal);
}
