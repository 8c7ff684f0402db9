import { MonitoringService } from "@millrace/contracts/millrace/monitoring/v1/monitoring_service";
import type { EventLog } from "@millrace/event-log";
import { implement, type ServiceImplementation } from "@millrace/grpc";
import type { Kv } from "@millrace/kv";
import type { ModelStore } from "@millrace/model-package";
import type { Registry } from "prom-client";
import { AlertOutbox, type StartRun } from "./alerts/alert-outbox.ts";
import { AutomaticJudging } from "./alerts/automatic-judging.ts";
import { Judge } from "./alerts/judge.ts";
import { Counting } from "./counting/counting.ts";
import { DeadLetters } from "./counting/dead-letters.ts";
import { MonitoringMetrics } from "./metrics.ts";
import type { MonitoringRooms } from "./monitoring-rooms.ts";
import { Monitors } from "./monitors/monitors.ts";
import { WatchedPackages } from "./packages/watched-packages.ts";
import { apply } from "./rpc/apply.ts";
import { awaitCounted } from "./rpc/await-counted.ts";
import { compare } from "./rpc/compare.ts";
import { getPrediction } from "./rpc/get-prediction.ts";
import { getReport } from "./rpc/get-report.ts";
import { getStatus } from "./rpc/get-status.ts";
import { listWindows } from "./rpc/list-windows.ts";
import { recordLabels } from "./rpc/record-labels.ts";
import { watchAlerts } from "./rpc/watch-alerts.ts";
import { WindowReader } from "./windows/window-reader.ts";

export interface MonitoringParts {
  readonly kv: Kv;
  readonly log: EventLog;
  readonly modelStore: ModelStore;
  readonly predictionTopic: string;
  readonly labelTopic: string;
  readonly alertTopic: string;
  readonly deadLetterTopic: string;
  readonly partitions: number;
  readonly group: string;
  readonly dataRoot: string;
  readonly joinSampleRate: number;
  readonly batchRecords: number;
  readonly judgeIntervalMs: number;
  /** Makes the call to training from the monitors; undefined without a training service. */
  readonly startRunOf: ((monitors: Monitors) => StartRun) | undefined;
  readonly metrics: Registry;
  readonly stopping: AbortSignal;
  readonly nowMs: () => number;
  /** Told of what went wrong outside of a call and was gone on from. */
  readonly warn: (error: unknown, message: string) => void;
}

/** The service as it is served, and the two workers beside it. */
export interface OpenedMonitoring {
  readonly service: ServiceImplementation;
  readonly counting: Counting;
  readonly judging: AutomaticJudging;
}

/** Builds monitoring from its adapters. Makes the topics that do not exist yet. */
export const openMonitoring = async (parts: MonitoringParts): Promise<OpenedMonitoring> => {
  const { kv, log, stopping, nowMs } = parts;
  const metrics = new MonitoringMetrics(parts.metrics);
  const monitors = await new Monitors(kv).load();
  const packages = new WatchedPackages(parts.modelStore, stopping, (reference, error) =>
    parts.warn(error, `The package ${reference} cannot be read now; it is tried again.`),
  );
  await log.ensureTopic(parts.alertTopic, 1);
  await log.ensureTopic(parts.deadLetterTopic, 1);
  const counting = await Counting.open({
    ...parts,
    monitors,
    packages,
    deadLetters: new DeadLetters(log, parts.deadLetterTopic, nowMs, (reason) => metrics.rejected(reason)),
    onCounted: ({ topic, partition, records, endOffset }, next) =>
      metrics.counted(topic, partition, records.length, endOffset - next),
  });
  const reader = new WindowReader(kv, packages, counting.partitions);
  const startRun = parts.startRunOf?.(monitors);
  const outbox = new AlertOutbox({
    kv,
    log,
    alertTopic: parts.alertTopic,
    monitors,
    startRun,
    onSent: ({ model, kind, state, action }) => metrics.sent(model, kind, state, action !== "REPORT"),
    onWebhookFailed: (_, { id, model }, error) => {
      metrics.webhookFailed(model);
      parts.warn(error, `The webhook did not take the alert ${id}.`);
    },
  });
  const judge = new Judge({
    kv,
    monitors,
    reader,
    outbox,
    canStartRuns: startRun !== undefined,
    onJudged: (window, { openAlerts }) => metrics.judged(window, new Set(openAlerts.map(({ kind }) => kind))),
  });
  const judging = new AutomaticJudging({ counting, monitors, judge, intervalMs: parts.judgeIntervalMs, nowMs });
  const rooms: MonitoringRooms = { ...parts, monitors, counting, reader, judge };
  return { service: monitoringService(rooms), counting, judging };
};

const monitoringService = (rooms: MonitoringRooms): ServiceImplementation =>
  implement(MonitoringService, {
    getStatus: getStatus(rooms),
    listWindows: listWindows(rooms),
    getReport: getReport(rooms),
    watchAlerts: watchAlerts(rooms),
    recordLabels: recordLabels(rooms),
    apply: apply(rooms),
    compare: compare(rooms),
    getPrediction: getPrediction(rooms),
    awaitCounted: awaitCounted(rooms),
  });
