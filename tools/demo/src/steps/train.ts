import { readFile } from "node:fs/promises";
import { fromJson, type JsonValue } from "@bufbuild/protobuf";
import { type Run, RunPhase, RunState } from "@millrace/contracts/millrace/training/v1/training_service";
import { TrainingSpecSchema } from "@millrace/contracts/millrace/training/v1/training_spec";
import { parse } from "yaml";
import type { Narration } from "../narration.ts";
import type { Clients } from "./clients.ts";

/** The run did not leave a package that may be served. */
export class RunUnsuccessfulError extends Error {
  constructor(run: Run) {
    super(`The training run ${run.id} ended without a candidate: ${run.error?.message ?? stateName(run.state)}`);
    this.name = "RunUnsuccessfulError";
  }
}

const nameOf = (values: Readonly<Record<string, number>>): ((value: number) => string) => {
  const names = new Map(
    Object.entries(values).map(([name, value]) => [value, name.toLowerCase().replaceAll("_", " ")]),
  );
  return (value) => names.get(value) ?? String(value);
};
export const stateName = nameOf(RunState);
const phaseName = nameOf(RunPhase);

const over = new Set<RunState>([RunState.SUCCEEDED, RunState.REJECTED, RunState.FAILED, RunState.CANCELLED]);

/** Starts the run of a spec file and shows it until it is over. A spec that was run before, on the same data, is not run again. */
export const train = async (
  { training }: Clients,
  specFile: string,
  idempotencyKey: string,
  narration: Narration,
): Promise<Run> => {
  const spec = fromJson(TrainingSpecSchema, parse(await readFile(specFile, "utf8")) as JsonValue);
  const { run: started } = await training.startRun({ spec, idempotencyKey, requestedBy: "the flights walkthrough" });
  if (started === undefined) throw new Error("StartRun answered without a run.");
  if (over.has(started.state)) narration.line(`Run ${started.id} was made before: ${stateName(started.state)}.`);
  const run = await watch({ training }, started.id, narration);
  if (run.state !== RunState.SUCCEEDED) throw new RunUnsuccessfulError(run);
  return run;
};

/** Shows a run until it is over. */
export const watch = async (
  { training }: Pick<Clients, "training">,
  id: string,
  narration: Narration,
): Promise<Run> => {
  let last: Run | undefined;
  let shownEpochs = 0;
  for await (const { run } of training.watchRun({ id }, { timeoutMs: 1_800_000 })) {
    if (run === undefined) continue;
    last = run;
    for (const epoch of run.epochs.slice(shownEpochs)) {
      narration.line(
        `epoch ${String(epoch.epoch).padStart(2)}  loss ${epoch.trainingLoss.toFixed(4)}  validation ${epoch.validationLoss.toFixed(4)}  ${epoch.seconds.toFixed(1)} s`,
      );
    }
    shownEpochs = run.epochs.length;
    const progress = run.progress;
    if (progress !== undefined && !over.has(run.state)) {
      const left = progress.secondsLeft > 0 ? `, ${Math.ceil(progress.secondsLeft)} s left` : "";
      const rows =
        progress.totalRows > 0n
          ? `, ${progress.rows} of ${progress.totalRows} rows`
          : progress.rows > 0n
            ? `, ${progress.rows} rows`
            : "";
      narration.progress(`${phaseName(run.phase)}${rows}${left}`);
    }
  }
  if (last === undefined) throw new Error(`WatchRun of ${id} ended without a run.`);
  return last;
};

/** What a run left, in a few lines. */
export const tellRun = (run: Run, narration: Narration): void => {
  narration.line(
    `${run.trainingRows} rows to learn, ${run.validationRows} to choose, ${run.testRows} to judge; backend ${run.backend}.`,
  );
  const metrics = run.evaluation?.metrics ?? [];
  narration.line(
    metrics
      .map(({ name, value, lower, upper }) =>
        lower === undefined || upper === undefined
          ? `${name} ${value.toFixed(3)}`
          : `${name} ${value.toFixed(3)} [${lower.toFixed(3)}, ${upper.toFixed(3)}]`,
      )
      .join("   "),
  );
  for (const gate of run.evaluation?.gates ?? [])
    narration.line(`gate: ${gate.rule}: ${gate.passed ? "passed" : "NOT passed"}`);
  narration.strong(`package ${run.packageReference}  tagged ${run.packageTags.join(", ")}`);
};
