import type { Cancellation } from "@millrace/grpc";
import type { BatchingOptions } from "@millrace/tensor";
import type { ResponseCache } from "./response-cache.ts";

export interface InferOptions {
  /** When the caller stops waiting, in epoch ms. */
  readonly deadlineMs?: number | undefined;
  readonly signal?: Cancellation | undefined;
  /** 1 is the highest level; undefined for the model's default. */
  readonly priority?: number | undefined;
  /** Longest time in the queue, in ms, where the model lets requests say so. */
  readonly queueTimeoutMs?: number | undefined;
  /** Runs the model even where the cache knows the answer, and keeps nothing. */
  readonly bypassCache?: boolean | undefined;
}

export interface LaneOptions extends BatchingOptions {
  /** Whether requests are joined along the first axis. */
  readonly batched: boolean;
  /** Whether answers leave in the order in which their requests came, within a level, over all instances. */
  readonly preserveOrdering?: boolean | undefined;
}

/** What a lane may be given beside its options. */
export interface LaneParts {
  readonly cache?: ResponseCache | undefined;
  /** Retires the instances when the lane is closed. Without it the lane does. */
  readonly retireInstances?: (() => Promise<void>) | undefined;
}
