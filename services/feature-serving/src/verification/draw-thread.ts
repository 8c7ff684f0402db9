import type { DataLocation } from "@millrace/feature-definition/duckdb";
import { streamFromThread } from "../thread-stream.ts";

/** What the thread that draws entities is started with. */
export interface DrawThreadData {
  /** GetRepositoryResponse: the definitions in force when the call came. */
  readonly applied: Uint8Array;
  /** `view.feature`, whose entities are drawn. */
  readonly references: readonly string[];
  readonly count: number;
  readonly seed: bigint;
  readonly batchData: DataLocation;
}

/** Draws entities in a thread of its own. @returns entity rows as an Arrow IPC stream. */
export async function drawInThread(data: DrawThreadData, signal: AbortSignal): Promise<Uint8Array> {
  for await (const arrow of streamFromThread<DrawThreadData, Uint8Array>(
    new URL("./draw-thread-entry", import.meta.url),
    data,
    signal,
  )) {
    return arrow;
  }
  throw new TypeError("The thread that draws entities ended without any.");
}
