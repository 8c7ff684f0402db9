import type { DataLocation } from "@millrace/feature-definition/duckdb";
import { streamFromThread } from "../thread-stream.ts";
import type { MaterializeProgress } from "./materialize-view.ts";

/** What the thread of one materialization is started with. */
export interface MaterializeThreadData {
  readonly onlineStoreUrl: string;
  readonly registryUrl: string;
  readonly eventLogUrl: string;
  readonly streamGroup: string;
  readonly topicPartitions: number;
  readonly batchData: DataLocation;
  readonly view: string;
  readonly fromUs: number | undefined;
  readonly toUs: number | undefined;
}

/**
 * Materializes a view in a thread of its own. Aborting stops the thread; what is folded stays, and the next call goes on
 * from there.
 */
export function materializeInThread(
  data: MaterializeThreadData,
  signal: AbortSignal,
): AsyncGenerator<MaterializeProgress> {
  return streamFromThread(new URL("./materialize-thread-entry", import.meta.url), data, signal);
}
