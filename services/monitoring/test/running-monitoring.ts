import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MonitoringService } from "@millrace/contracts/millrace/monitoring/v1/monitoring_service";
import { type EventLog, openEventLog } from "@millrace/event-log";
import { type Client, createClient, openChannel, startGrpcServer } from "@millrace/grpc";
import { type Kv, openKv } from "@millrace/kv";
import { type ModelStore, openModelStore } from "@millrace/model-package";
import { Registry } from "prom-client";
import type { StartRun } from "../src/alerts/alert-outbox.ts";
import type { Monitors } from "../src/monitors/monitors.ts";
import { openMonitoring } from "../src/open-monitoring.ts";
import { pushPackage } from "./flights.ts";

/** Monitoring behind a socket, with its workers, on stores of its own. */
export interface RunningMonitoring {
  readonly client: Client<typeof MonitoringService>;
  readonly log: EventLog;
  readonly kv: Kv;
  readonly store: ModelStore;
  readonly digest: string;
  readonly folder: string;
  readonly metrics: Registry;
  close(): Promise<void>;
}

export interface RunningOptions {
  readonly stateUrl?: string;
  readonly eventLogUrl?: string;
  readonly startRunOf?: (monitors: Monitors) => StartRun;
}

export const runMonitoring = async (options: RunningOptions = {}): Promise<RunningMonitoring> => {
  const folder = await mkdtemp(join(tmpdir(), "millrace-monitoring-"));
  const kv = await openKv(options.stateUrl ?? `lmdb:${join(folder, "state")}`);
  const log = await openEventLog(options.eventLogUrl ?? `log:${join(folder, "log")}`);
  const store = await openModelStore(`oci:${join(folder, "models")}`);
  const digest = await pushPackage(store);
  const stop = new AbortController();
  const metrics = new Registry();
  const { service, counting, judging } = await openMonitoring({
    kv,
    log,
    modelStore: store,
    predictionTopic: "predictions",
    labelTopic: "labels",
    alertTopic: "alerts",
    deadLetterTopic: "monitoring-dead-letters",
    partitions: 2,
    group: "test",
    dataRoot: folder,
    joinSampleRate: 1,
    batchRecords: 200,
    judgeIntervalMs: 50,
    startRunOf: options.startRunOf,
    metrics,
    stopping: stop.signal,
    nowMs: () => Date.now(),
    warn: (error, message) => console.warn(message, error),
  });
  const workers = Promise.all([counting.run(stop.signal), judging.run(stop.signal)]);
  const server = await startGrpcServer({ services: [service], host: "127.0.0.1", port: 0 });
  const channel = openChannel(server.address);
  return {
    client: createClient(MonitoringService, channel, { timeoutMs: 60_000 }),
    log,
    kv,
    store,
    digest,
    folder,
    metrics,
    close: async () => {
      stop.abort();
      await workers;
      channel.close();
      await server.drain({ limitMs: 1000 });
      await store.close();
      await log.close();
      await kv.close();
      await rm(folder, { recursive: true });
    },
  };
};
