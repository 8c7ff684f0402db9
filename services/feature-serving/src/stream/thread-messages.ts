import type { AppliedPartition } from "./applied-partition.ts";
import type { IngestionSnapshot } from "./ingestion-counts.ts";

/** What the stream worker's thread is started with. */
export interface StreamThreadData {
  readonly onlineStoreUrl: string;
  readonly registryUrl: string;
  readonly eventLogUrl: string;
  readonly schemaRegistryUrl: string | undefined;
  readonly streamGroup: string;
  readonly topicPartitions: number;
  readonly rewindMs: number;
}

/** From the service to the thread. */
export type ToStreamThread =
  /** Bring what the registry holds into force, and answer when it is. */
  { readonly type: "refresh"; readonly id: number } | { readonly type: "stop" };

/** From the thread to the service. */
export type FromStreamThread =
  | { readonly type: "ready" }
  | { readonly type: "refreshed"; readonly id: number; readonly error?: string }
  /** Positions moved: whoever waits may look again. */
  | { readonly type: "applied"; readonly applied: readonly AppliedPartition[] }
  | { readonly type: "counts"; readonly counts: IngestionSnapshot }
  | { readonly type: "trouble"; readonly message: string };
