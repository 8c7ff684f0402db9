import type { EventLog } from "@millrace/event-log";
import type { Kv } from "@millrace/kv";
import type { Judge } from "./alerts/judge.ts";
import type { Counting } from "./counting/counting.ts";
import type { Monitors } from "./monitors/monitors.ts";
import type { WindowReader } from "./windows/window-reader.ts";

/** What the RPCs work with. */
export interface MonitoringRooms {
  readonly kv: Kv;
  readonly log: EventLog;
  readonly monitors: Monitors;
  readonly counting: Counting;
  readonly reader: WindowReader;
  readonly judge: Judge;
  readonly predictionTopic: string;
  readonly labelTopic: string;
  readonly alertTopic: string;
  /** Folder below which Parquet files may be read. */
  readonly dataRoot: string;
  /** Aborted when the service stops. */
  readonly stopping: AbortSignal;
}
