import { readFile } from "node:fs/promises";
import { fromJson, type JsonValue } from "@bufbuild/protobuf";
import {
  type Epoch,
  GetRunResponseSchema,
  ListRunsResponseSchema,
  type Run,
  RunPhase,
  RunState,
  TrainingService,
  type Trial,
} from "@millrace/contracts/millrace/training/v1/training_service";
import { type TrainingSpec, TrainingSpecSchema } from "@millrace/contracts/millrace/training/v1/training_spec";
import { MillraceError, Reason } from "@millrace/errors";
import type { Command } from "commander";
import { parse } from "yaml";
import { type ConnectionOptions, serviceCommand, withClient } from "../connection.ts";
import { endProgress, enumName, printMessage, printTable, showProgress, timeText } from "../output.ts";

const command = (usage: string, description: string): Command => serviceCommand("training", usage, description);

export const trainingCommands = (): Command[] => [
  command("train <spec>", "runs a training spec; exits 0 when its package passed the gates")
    .option("--detach", "start the run and return its id", false)
    .option("--idempotency-key <key>", "with the same key no second run is started", "")
    .option("--requested-by <who>", "kept with the run", "")
    .option("--json", "print the run as protobuf JSON", false)
    .action(train),
  command("runs", "lists training runs, the newest first")
    .option("--name <name>", "only runs of this spec", "")
    .option("--json", "print protobuf JSON", false)
    .action(runs),
  command("run <id>", "shows one run").option("--json", "print protobuf JSON", false).action(showRun),
  command("watch-run <id>", "shows a run until it is over").action(async (id: string, options: ConnectionOptions) => {
    await withClient(TrainingService, options, async (client) => follow(client.watchRun({ id }), false));
  }),
  command("cancel-run <id>", "cancels a run").action(async (id: string, options: ConnectionOptions) => {
    await withClient(TrainingService, options, async (client) => {
      const { run } = await client.cancelRun({ id });
      console.log(`${id} is ${run === undefined ? "gone" : enumName(RunState, run.state).toLowerCase()}`);
    });
  }),
];

/** The spec of a YAML file. @throws MillraceError where it is not a TrainingSpec. */
const readSpec = async (file: string): Promise<TrainingSpec> => {
  try {
    return fromJson(TrainingSpecSchema, parse(await readFile(file, "utf8")) as JsonValue);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new MillraceError("INVALID_ARGUMENT", Reason.TRAINING_SPEC_INVALID, `${file} is no training spec: ${why}`, {
      cause,
    });
  }
};

interface TrainOptions extends ConnectionOptions {
  readonly detach: boolean;
  readonly idempotencyKey: string;
  readonly requestedBy: string;
  readonly json: boolean;
}

const train = async (file: string, options: TrainOptions): Promise<void> => {
  const spec = await readSpec(file);
  await withClient(TrainingService, options, async (client) => {
    const { run } = await client.startRun({
      spec,
      idempotencyKey: options.idempotencyKey,
      requestedBy: options.requestedBy || `${process.env.USER ?? "somebody"} with millrace train`,
    });
    if (run === undefined) throw new Error("StartRun answered without a run.");
    if (options.detach) return console.log(run.id);
    await follow(client.watchRun({ id: run.id }), options.json);
  });
};

const over = new Set<RunState>([RunState.SUCCEEDED, RunState.REJECTED, RunState.FAILED, RunState.CANCELLED]);

/** Shows a run as it changes. The exit code says whether there is a package that passed its gates. */
const follow = async (answers: AsyncIterable<{ run?: Run | undefined }>, json: boolean): Promise<void> => {
  let last: Run | undefined;
  let shown = 0;
  let printed: readonly string[] = [];
  for await (const { run } of answers) {
    if (run === undefined) continue;
    last = run;
    // The epochs of a search begin anew with each trial: trials are told as they end, instead.
    const steps = run.spec?.search === undefined ? run.epochs.map(epochLine) : run.trials.map(trialLine);
    for (const step of json ? [] : steps.slice(shown)) {
      endProgress();
      console.log(step);
    }
    shown = steps.length;
    for (const line of json ? [] : linesAfter(printed, run.log)) {
      endProgress();
      console.log(`| ${line}`);
    }
    printed = run.log;
    if (over.has(run.state)) break;
    const left = run.progress?.secondsLeft ? `, ${Math.ceil(run.progress.secondsLeft)} s left` : "";
    showProgress(`${enumName(RunPhase, run.phase).toLowerCase()} ${run.progress?.rows ?? 0n}${left}`);
  }
  endProgress();
  if (last === undefined) throw new Error("The stream of the run ended without a run.");
  if (json) printMessage(GetRunResponseSchema, { $typeName: "millrace.training.v1.GetRunResponse", run: last });
  else tell(last);
  process.exitCode = last.state === RunState.SUCCEEDED ? 0 : 1;
};

/** A program's epoch has the metrics that it tells; one of our own networks has its losses. */
const epochLine = ({ epoch, trainingLoss, validationLoss, seconds, metrics }: Epoch): string => {
  const told = Object.entries(metrics).map(([name, value]) => `${name} ${value.toFixed(4)}`);
  const losses = [`loss ${trainingLoss.toFixed(4)}`, `validation ${validationLoss.toFixed(4)}`];
  return [`epoch ${epoch}`, ...(told.length === 0 ? losses : told), `${seconds.toFixed(1)} s`].join("  ");
};

const trialLine = ({ number, parameters, validationLoss, error }: Trial): string => {
  const settings = Object.entries(parameters).map(([name, value]) => `${name} ${Number(value.toPrecision(4))}`);
  const end = validationLoss === undefined ? error : `validation loss ${validationLoss.toFixed(4)}`;
  return `trial ${number}: ${settings.join(", ")}: ${end}`;
};

/** The record keeps the last lines of a log: those that have come since, without the lines that tell of epochs. */
const linesAfter = (before: readonly string[], now: readonly string[]): string[] => {
  let known = Math.min(before.length, now.length);
  while (known > 0 && !before.slice(-known).every((line, place) => line === now[place])) known--;
  return now.slice(known).filter((line) => !line.startsWith('{"epoch"'));
};

const tell = (run: Run): void => {
  console.log(
    `run ${run.id}: ${enumName(RunState, run.state).toLowerCase()}${run.error === undefined ? "" : `: ${run.error.message}`}`,
  );
  for (const trial of run.trials) console.log(`  ${trialLine(trial)}${trial.chosen ? ", chosen" : ""}`);
  for (const { name, value, lower, upper } of run.evaluation?.metrics ?? []) {
    const interval = lower === undefined || upper === undefined ? "" : `  [${lower.toFixed(4)}, ${upper.toFixed(4)}]`;
    console.log(`  ${name} ${value.toFixed(4)}${interval}`);
  }
  for (const [name, value] of Object.entries(run.reportedMetrics))
    console.log(`  ${name} ${value.toFixed(4)} says the trainer of itself; no gate reads it`);
  for (const { rule, passed } of run.evaluation?.gates ?? [])
    console.log(`  gate ${rule}: ${passed ? "passed" : "not passed"}`);
  if (run.packageReference !== "") console.log(`  package ${run.packageReference}  tags ${run.packageTags.join(", ")}`);
};

const runs = async (options: ConnectionOptions & { name: string; json: boolean }): Promise<void> => {
  await withClient(TrainingService, options, async (client) => {
    const answer = await client.listRuns({ name: options.name });
    if (options.json) return printMessage(ListRunsResponseSchema, answer);
    printTable([
      ["run", "spec", "state", "created", "package"],
      ...answer.runs.map((run) => [
        run.id,
        run.spec?.name ?? "",
        enumName(RunState, run.state).toLowerCase(),
        timeText(run.createdAt),
        run.packageReference,
      ]),
    ]);
  });
};

const showRun = async (id: string, options: ConnectionOptions & { json: boolean }): Promise<void> => {
  await withClient(TrainingService, options, async (client) => {
    const answer = await client.getRun({ id });
    if (options.json) return printMessage(GetRunResponseSchema, answer);
    if (answer.run !== undefined) tell(answer.run);
  });
};
