import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { deserialize, serialize } from "node:v8";
import { Task } from "@millrace/contracts/millrace/model/v1/model_package";
import { MillraceError, Reason } from "@millrace/errors";
import { TrainerFailedError } from "../command/trainer-failed-error.ts";
import { metricsOf } from "../evaluation/metric-of.ts";
import { type FinishedEpoch, replaceFile } from "../network/checkpoint.ts";
import { openTrained } from "../pipeline/open-trained.ts";
import type { TrainedModel, TrainingTask } from "../pipeline/trained-model.ts";
import { parametersText } from "./parameters-text.ts";
import { withParameters } from "./trial-parameters.ts";
import { type TrialParameters, trialsOf } from "./trials.ts";

/** How a trial ended. */
export interface TrialResult extends TrialParameters {
  /** Of the validation split; undefined for one that failed. */
  readonly validationLoss: number | undefined;
  readonly seconds: number;
  /** Why it failed; empty otherwise. */
  readonly error: string;
  readonly epochs: readonly FinishedEpoch[];
}

/** Thrown when every trial of a search has failed. */
class SearchFailedError extends MillraceError {
  constructor(trials: number, last: string) {
    const message = `Each of the ${trials} trials failed. The last: ${last}`;
    super("FAILED_PRECONDITION", Reason.TRAINER_FAILED, message, {
      violations: [{ field: "search", expected: "at least one trial that leaves a model", got: last }],
    });
  }
}

/**
 * Trains once for each trial, measures each model on the validation split, and answers the best. What a trial has made
 * lies in a folder of its own, so that a search which is begun again goes on with the trial that it was in.
 *
 * @param train trains by a spec without a search.
 * @throws SearchFailedError
 */
export const searchModel = async (
  task: TrainingTask,
  train: (task: TrainingTask) => Promise<TrainedModel>,
): Promise<TrainedModel> => {
  const trials = trialsOf(task.spec);
  const results: TrialResult[] = [];
  let best: { readonly result: TrialResult; readonly loss: number } | undefined;
  for (const trial of trials) {
    task.signal.throwIfAborted();
    const detail = `Trial ${trial.number} of ${trials.length}: ${parametersText(trial.parameters)}.`;
    const result = await runTrial(trial, { ...task, order: inFolder(task, trial) }, detail, train);
    results.push(result);
    const loss = result.validationLoss;
    if (loss !== undefined && (best === undefined || loss < best.loss)) best = { result, loss };
    task.report({ kind: "trials", trials: results, chosen: best?.result.number });
  }
  if (best === undefined) throw new SearchFailedError(trials.length, results.at(-1)?.error ?? "");
  const { result } = best;
  task.report({ kind: "epochs", epochs: result.epochs });
  const kept = await readTrial(trialFile(trialFolder(task, result)));
  if (kept?.model === undefined) throw new TypeError(`The model of trial ${result.number} is gone.`);
  return {
    ...kept.model,
    parameters: result.parameters,
    // Done when it was measured, on the validation split.
    check: () => undefined,
    close: () => undefined,
  };
};

const trialFolder = ({ order }: TrainingTask, { number }: TrialParameters): string =>
  join(order.runFolder, `trial-${number}`);

const inFolder = (task: TrainingTask, trial: TrialParameters): TrainingTask["order"] => ({
  ...task.order,
  runFolder: trialFolder(task, trial),
  logFile: task.order.logFile.replace(/\.log$/, `.trial-${trial.number}.log`),
});

/** All of a finished trial that outlives a restart. */
interface KeptTrial {
  readonly result: TrialResult;
  /** Undefined for one that failed. */
  readonly model: Pick<TrainedModel, "model" | "inputs" | "outputName" | "trainer"> | undefined;
}

const trialFile = (folder: string): string => join(folder, "trial.bin");

const runTrial = async (
  trial: TrialParameters,
  task: TrainingTask,
  detail: string,
  train: (task: TrainingTask) => Promise<TrainedModel>,
): Promise<TrialResult> => {
  const file = trialFile(task.order.runFolder);
  const kept = await readTrial(file);
  if (kept !== undefined) return kept.result;
  await mkdir(task.order.runFolder, { recursive: true });
  const epochs: FinishedEpoch[] = [];
  task.report({ kind: "epochs", epochs: [] });
  const report: TrainingTask["report"] = (message) => {
    if (message.kind === "epoch") epochs.push(message.epoch);
    if (message.kind === "epochs") epochs.splice(0, epochs.length, ...message.epochs);
    task.report(message.kind === "phase" ? { ...message, detail: `${detail} ${message.detail}` } : message);
  };
  const startedMs = performance.now();
  const secondsSince = (): number => (performance.now() - startedMs) / 1000;
  try {
    const spec = withParameters(task.spec, trial.parameters);
    const trained = await train({ ...task, spec, report, parameters: trial.parameters });
    const validationLoss = await lossOf(trained, task);
    const { model, inputs, outputName, trainer } = trained;
    const result = { ...trial, validationLoss, seconds: secondsSince(), error: "", epochs };
    await keep(file, { result, model: { model, inputs, outputName, trainer } });
    trained.close();
    return result;
  } catch (error) {
    if (!isOfTheTrial(error)) throw error;
    const result = { ...trial, validationLoss: undefined, seconds: secondsSince(), error: error.message, epochs };
    await keep(file, { result, model: undefined });
    return result;
  }
};

/** A setting may make a network diverge or a program fail, and others may do well. */
const isOfTheTrial = (error: unknown): error is MillraceError =>
  error instanceof MillraceError &&
  (error.reason === Reason.TRAINING_DIVERGED || error.reason === Reason.TRAINER_FAILED);

const lossOf = async (trained: TrainedModel, { table, split, signal }: TrainingTask): Promise<number> => {
  const { validation, task } = split;
  const { scored } = await openTrained(trained, table);
  try {
    const scores = await scored.score(validation, signal);
    trained.check(validation, scores);
    const labels = Float64Array.from(validation, (row) => table.labels[row] ?? Number.NaN);
    const weights = table.weights && Float64Array.from(validation, (row) => table.weights?.[row] ?? 1);
    const loss = metricsOf(task, labels, scores)(task === Task.BINARY ? "LOG_LOSS" : "RMSE", weights);
    // No loss is better or worse than one that is no number.
    if (!Number.isFinite(loss)) throw new TrainerFailedError("search", `The model's validation loss is ${loss}.`);
    return loss;
  } finally {
    await scored.close();
  }
};

const keep = (file: string, trial: KeptTrial): Promise<void> => replaceFile(file, serialize(trial));

const readTrial = async (file: string): Promise<KeptTrial | undefined> => {
  const bytes = await readFile(file).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });
  return bytes === undefined ? undefined : (deserialize(bytes) as KeptTrial);
};
