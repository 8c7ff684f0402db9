import type { ServiceHost } from "@millrace/service-host";
import type { DeclarationFileObserver } from "./deployment/declaration-file.ts";
import type { DeploymentsObserver } from "./deployment/deployments.ts";
import type { TagWatchObserver } from "./deployment/tag-watch.ts";
import type { InstanceObserver } from "./execution/instance-supervisor.ts";
import type { PayloadLogObserver } from "./prediction/payload-log.ts";
import type { PayloadMetrics } from "./prediction/payload-metrics.ts";
import type { PredictionLogObserver } from "./prediction/prediction-log.ts";
import type { PredictionMetrics } from "./prediction/prediction-metrics.ts";
import type { ModelRepositoryObserver } from "./repository/model-repository.ts";

type Log = ServiceHost["log"];

/** What the repository of models tells, as log lines. */
export const repositoryLog = (log: Log): ModelRepositoryObserver => ({
  onLoaded: (model, version, text) => log.info({ model, version }, `Serves ${model} version ${version}: ${text}.`),
  onFailed: (model, version, err) =>
    log.error({ model, version, err }, `${model}${version === "" ? "" : ` version ${version}`} does not serve.`),
  onUnloaded: (model) => log.info({ model }, `${model} is unloaded, and no longer served.`),
  onWithoutEffect: (model, fields) =>
    log.warn({ model, fields }, `The configuration of ${model} has fields that change nothing here.`),
  onUnreadable: (err) => log.error({ err }, "The folders of models cannot be read; what is served goes on."),
  onDefect: (err) => log.error({ err }, "A load of the repository ended with a defect."),
});

/** What deployments tell, as log lines. */
export const deploymentLog = (log: Log): DeploymentsObserver => ({
  onServes: (model, version, digest, text) =>
    log.info({ model, version, digest }, `Serves ${model} version ${version}: ${text}.`),
  onFailed: (model, version, err) => log.error({ model, version, err }, `${model} version ${version} does not serve.`),
  onUnloaded: (model) => log.info({ model }, `${model} is no longer declared, and no longer served.`),
  onDefect: (err) => log.error({ err }, "A deployment ended with a defect."),
});

/** What the watch of the deployments file tells, as log lines. */
export const declarationLog = (log: Log, file: string): DeclarationFileObserver => ({
  onMissing: () => log.warn({ file }, "The deployments file is not there; what is served goes on."),
  onApplied: (hash, models) => log.info({ file, hash, models }, "A declaration of deployments is put in force."),
  onRefused: (err) => log.error({ file, err }, "The deployments file is refused; what is served goes on."),
});

/** What the watch of tags tells, as log lines. */
export const tagLog = (log: Log): TagWatchObserver => ({
  onMoved: (model, version, reference, from, to) =>
    log.warn({ model, version, reference, from, to }, "A tag has moved; the version stays on the package that it had."),
  onFailed: (reference, err) => log.warn({ reference, err }, "A tag could not be looked up."),
});

/** What the prediction log tells, as metrics and log lines. */
export const predictionLogObserver = (
  log: Log,
  metrics: PredictionMetrics,
  warnOfDrops = onceASecond((reason, count) => log.warn({ count, reason }, "Predictions were not logged.")),
): PredictionLogObserver => ({
  onLogged: (count) => metrics.logged.inc(count),
  onDropped: (count, reason) => {
    metrics.dropped.inc({ reason }, count);
    warnOfDrops(reason, count);
  },
  onFailed: (err) => {
    metrics.appendFailures.inc();
    log.warn({ err }, "The event log did not take predictions; those that no caller waits for are tried again.");
  },
});

/** What the payload logs tell, as metrics and log lines. */
export const payloadLogObserver = (log: Log, metrics: PayloadMetrics): PayloadLogObserver => {
  const reasons = new Map<string, unknown>();
  const warn = onceASecond((reason, count) =>
    log.warn({ count, reason, err: reasons.get(reason) }, "Events of a payload log were not sent."),
  );
  return {
    onEvents: (outcome, count, why) => {
      metrics.events.inc({ outcome }, count);
      if (outcome === "SENT") return;
      reasons.set(outcome, why);
      warn(outcome, count);
    },
    onRetry: () => metrics.retries.inc(),
  };
};

/** Tells at most once a second of each reason; the counts of those between are added to the next. */
const onceASecond = (tell: (reason: string, count: number) => void): ((reason: string, count: number) => void) => {
  const told = new Map<string, { atMs: number; count: number }>();
  return (reason, count) => {
    const now = performance.now();
    const last = told.get(reason) ?? { atMs: Number.NEGATIVE_INFINITY, count: 0 };
    last.count += count;
    if (now - last.atMs >= 1000) {
      tell(reason, last.count);
      last.atMs = now;
      last.count = 0;
    }
    told.set(reason, last);
  };
};

/** What a model's instances go through, as log lines. */
export const instanceLog =
  (log: Log) =>
  (model: string, version: string): InstanceObserver => ({
    onLost: (err, retryInMs) =>
      log.error(
        { model, version, err, retryInMs },
        `A worker of ${model} version ${version} ended${retryInMs === 0 ? "; another stands in for it" : `; another is started in ${retryInMs} ms`}.`,
      ),
    onWedged: (standsIn) =>
      log.error(
        { model, version, standsIn },
        `A worker of ${model} version ${version} is wedged in a run${standsIn ? "; another stands in for it" : ", and no other may stand in for it: the memory budget has no room, or as many stand in as it has instances"}.`,
      ),
    onReplaced: () => log.info({ model, version }, `Another worker of ${model} version ${version} takes work.`),
    onFailed: (err, retryInMs) =>
      log.error({ model, version, err, retryInMs }, `Another worker of ${model} version ${version} did not start.`),
  });
