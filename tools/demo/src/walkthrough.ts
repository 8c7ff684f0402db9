import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fromBinary } from "@bufbuild/protobuf";
import { type Prediction, PredictionSchema } from "@millrace/contracts/millrace/event/v1/event";
import { GetReportRequest_Format, type Window } from "@millrace/contracts/millrace/monitoring/v1/monitoring_service";
import { RunState } from "@millrace/contracts/millrace/training/v1/training_service";
import { type EventLog, openEventLog } from "@millrace/event-log";
import { prepareFlightData } from "./flight-data.ts";
import type { Layout } from "./layout.ts";
import type { Narration } from "./narration.ts";
import type { Platform } from "./platform.ts";
import { type ReplayTotals, replay } from "./replay/replay.ts";
import { applyDefinitions, materializeHistory } from "./steps/apply-definitions.ts";
import { type Clients, clientsOf } from "./steps/clients.ts";
import { deploy } from "./steps/deploy.ts";
import { tellRun, train, watch } from "./steps/train.ts";
import { compareWithOffline, walkBack } from "./steps/walk-back.ts";
import { applyMonitor, tellWeek } from "./steps/watch-weeks.ts";
import { dateText, story } from "./story.ts";

export interface WalkthroughOptions {
  readonly layout: Layout;
  /** One flight in this many is predicted. */
  readonly predictOneIn: number;
  /** Where the replay ends, UTC microseconds. */
  readonly toUs: number;
  readonly signal: AbortSignal;
}

/** The figures that a walkthrough ends with. Two undisturbed runs over the same flights give the same. */
export interface Summary {
  readonly packageDigest: string;
  readonly totals: ReplayTotals;
  readonly weeks: readonly WeekFigures[];
  readonly comparedValues: number;
  readonly retrained: boolean;
}

interface WeekFigures {
  readonly from: string;
  readonly rows: number;
  readonly measures: Readonly<Record<string, number>>;
  readonly alerts: readonly string[];
}

const flights = join(import.meta.dirname, "../flights");
const model = "flight_delay";
const featureService = "delay_v1";
const lanes = 8;
/** How many predictions are computed again offline. */
const offlineSample = 1000;

/** The data of this walkthrough. It is prepared before the services start, which look for it. */
export const prepareData = (layout: Layout, wholeYear: boolean, narration: Narration): Promise<void> =>
  narration.step("data", "the flights of 2001, in UTC, as Parquet", async () => {
    await prepareFlightData(layout.dataFolder, wholeYear ? story.allDataUntil : story.dataUntil);
    narration.line(`flights, arrivals and airports are in ${layout.dataFolder}`);
  });

/** The steps from definitions to a prediction walked back, on a platform that runs. */
export const walkthrough = async (
  platform: Platform,
  options: WalkthroughOptions,
  narration: Narration,
): Promise<Summary> => {
  const { layout, signal } = options;
  const clients = clientsOf(platform);
  const log = await openEventLog(layout.eventLogUrl);
  try {
    await log.ensureTopic("arrivals", lanes);
    const definitionsHash = await narration.step(
      "apply",
      "features are defined once, in YAML, and mean the same everywhere",
      () => applyDefinitions(clients, join(flights, "features"), narration),
    );
    const run = await narration.step(
      "train",
      "a point-in-time training set of January, a small network, gates, a package",
      async () => {
        const finished = await train(clients, join(flights, "training.yaml"), definitionsHash, narration);
        tellRun(finished, narration);
        return finished;
      },
    );
    signal.throwIfAborted();
    await narration.step("deploy", "the package, by digest, behind a model name", () =>
      deploy(clients, layout.deploymentsFile, model, run.packageReference, narration),
    );
    await narration.step("materialize", "the history that serving needs to begin with", () =>
      materializeHistory(clients, narration),
    );
    const totals = await narration.step(
      "replay",
      "each flight is predicted at push-back; its label comes when it arrives",
      async () => {
        await applyMonitor(clients, join(flights, "monitor.yaml"), narration);
        return replayWeeks(clients, log, options, narration);
      },
    );
    const windows = await writeReport(clients, layout, narration);
    const retrained = await narration.step("retraining", "drift is not decay: only lost quality starts a run", () =>
      tellRetraining(clients, narration),
    );
    const comparedValues = await narration.step(
      "walk back",
      "from one prediction to the definitions and the data behind it",
      () => walkBackOne(clients, log, layout, narration),
    );
    const summary: Summary = {
      packageDigest: run.packageDigest,
      totals,
      weeks: windows.map(weekFigures),
      comparedValues,
      retrained,
    };
    await writeFile(layout.summaryFile, `${JSON.stringify(summary, null, 2)}\n`);
    return summary;
  } finally {
    await log.close();
  }
};

const replayWeeks = async (
  clients: Clients,
  log: EventLog,
  { layout, predictOneIn, toUs, signal }: WalkthroughOptions,
  narration: Narration,
): Promise<ReplayTotals> => {
  const started = performance.now();
  let predictions = 0;
  const totals = await replay(
    { log, features: clients.features, predictions: clients.predictions, monitoring: clients.monitoring },
    {
      dataFolder: layout.dataFolder,
      progressFile: layout.replayFile,
      predictOneIn,
      toUs,
      signal,
      onDay: (day) => {
        predictions += day.predictions;
        const perSecond = predictions / ((performance.now() - started) / 1000);
        narration.progress(
          `${dateText(day.fromUs)}: ${day.arrivals} arrivals, ${day.predictions} predictions, ${day.labels} labels  (${perSecond.toFixed(0)} predictions/s)`,
        );
        if (day.fromUs + story.dayUs === story.breakFromUs) {
          narration.warn("Now the feed of arrivals breaks: it sends seconds where minutes are declared.");
        }
      },
      onWeek: (fromUs, toUs) => tellWeek(clients, model, fromUs, toUs, narration),
    },
  );
  narration.line(`${totals.arrivals} arrivals, ${totals.predictions} predictions, ${totals.labels} labels in all.`);
  return totals;
};

const writeReport = async (
  { monitoring }: Clients,
  layout: Layout,
  narration: Narration,
): Promise<readonly Window[]> => {
  const { content } = await monitoring.getReport(
    { model, format: GetReportRequest_Format.HTML },
    { timeoutMs: 60_000 },
  );
  await writeFile(layout.reportFile, content);
  narration.line(`report: ${layout.reportFile}`);
  const { windows } = await monitoring.listWindows({ model });
  return windows.filter(({ slice }) => slice === "");
};

/** Shows the run that monitoring asked for, until it is over. */
const tellRetraining = async (clients: Clients, narration: Narration): Promise<boolean> => {
  const { runs } = await clients.training.listRuns({ name: "flight_delay_recent", pageSize: 10 });
  const run = runs[0];
  if (run === undefined) {
    narration.warn("Nothing was retrained.");
    return false;
  }
  narration.line(`Monitoring asked for run ${run.id}: ${run.requestedBy}.`);
  const finished = await watch(clients, run.id, narration);
  if (finished.state === RunState.SUCCEEDED || finished.state === RunState.REJECTED) tellRun(finished, narration);
  if (finished.error !== undefined) narration.warn(`${finished.error.reason}: ${finished.error.message}`);
  return finished.state === RunState.SUCCEEDED || finished.state === RunState.REJECTED;
};

const walkBackOne = async (clients: Clients, log: EventLog, layout: Layout, narration: Narration): Promise<number> => {
  const sample = await samplePredictions(log);
  const first = sample[0];
  if (first === undefined) throw new Error("The prediction log is empty.");
  await walkBack(clients, first.id, layout.modelStoreUrl, narration);
  const compared = await compareWithOffline(clients, featureService, sample);
  narration.strong(
    `${compared} served values of ${sample.length} predictions, computed again offline as known at their time: all equal`,
  );
  return compared;
};

/** Predictions from before the break, evenly over the flights. One that was logged twice counts once. */
const samplePredictions = async (log: EventLog): Promise<Prediction[]> => {
  const topic = "predictions";
  const byId = new Map<string, Prediction>();
  for (const { partition, first } of await log.bounds(topic)) {
    for await (const { records } of log.read(topic, { partition, offset: first })) {
      for (const { value } of records) {
        if (value === null) continue;
        const prediction = fromBinary(PredictionSchema, value);
        if (Number(prediction.eventTime?.seconds ?? 0n) * 1_000_000 < story.breakFromUs)
          byId.set(prediction.id, prediction);
      }
    }
  }
  const all = [...byId.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
  const oneIn = Math.max(1, Math.ceil(all.length / offlineSample));
  return all.filter((_, index) => index % oneIn === 0);
};

const weekFigures = ({ from, rows, columns, measures, alerts }: Window): WeekFigures => ({
  from: dateText(Number(from?.seconds ?? 0n) * 1_000_000),
  rows: Number(rows),
  measures: Object.fromEntries([
    ...measures.map(({ name, value }) => [name, value] as const),
    ...columns.flatMap((column) =>
      column.measures.map(({ name, value }) => [`${name} ${column.column}`, value] as const),
    ),
  ]),
  alerts: alerts.map(({ kind, state }) => `${kind} ${state}`),
});
