import type { EventLog } from "@millrace/event-log";
import type { DataLocation } from "@millrace/feature-definition/duckdb";
import type { SchemaRegistry } from "@millrace/feature-definition/stream";
import type { Kv } from "@millrace/kv";
import type { Catalogue } from "./catalogue.ts";
import type { ErasureReceipts } from "./erasure/erasure-receipts.ts";
import type { Tombstones } from "./erasure/tombstones.ts";
import type { Registry } from "./registry.ts";
import type { RowCache } from "./row-cache.ts";
import type { AppliedWatch } from "./stream/applied-watch.ts";
import type { ProgressStore } from "./stream/progress.ts";
import type { StreamThread } from "./stream/stream-thread.ts";
import type { PackageBindings } from "./versions/package-bindings.ts";
import type { VersionKeeper } from "./versions/version-keeper.ts";
import type { VersionReads } from "./versions/version-reads.ts";

/** What the calls of this service work with. */
export interface FeatureServing {
  readonly online: Kv;
  readonly log: EventLog;
  readonly registry: Registry;
  readonly catalogue: Catalogue;
  readonly progress: ProgressStore;
  readonly applied: AppliedWatch;
  /** When versions of feature services were asked for. */
  readonly versionReads: VersionReads;
  readonly versionKeeper: VersionKeeper;
  /** The packages of the model store; undefined where none is named. */
  readonly packages: PackageBindings | undefined;
  /** The stream worker of this process; undefined where another process has it. */
  readonly streamThread: StreamThread | undefined;
  /** Where the stores are, for threads that open their own. */
  readonly stores: {
    readonly onlineStoreUrl: string;
    readonly registryUrl: string;
    readonly eventLogUrl: string;
    readonly streamGroup: string;
  };
  readonly batchData: DataLocation;
  readonly topicPartitions: number;
  /** What was erased. */
  readonly tombstones: Tombstones;
  readonly receipts: ErasureReceipts;
  /** Where the schemas of records are found by their number. */
  readonly schemas: SchemaRegistry;
  /** Rows that callers let be stale. */
  readonly rowCache: RowCache;
  readonly maxValues: number;
  readonly maxPushRows: number;
  /** The present, in microseconds since 1970. */
  readonly nowUs: () => number;
}
