import { readFile } from "node:fs/promises";
import { fromJson, type JsonValue } from "@bufbuild/protobuf";
import { type Run, RunPhase, RunState } from "@millrace/contracts/millrace/training/v1/training_service";
import { TrainingSpecSchema } from "@millrace/contracts/millrace/training/v1/training_spec";
import { parse } from "yaml";
import type { Narration } from "../narration.ts";
import { whileAway } from "../replay/retry.ts";
import type { Clients } from "./clients.ts";
import { shortHash } from "./short-hash.ts";

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

/**
 * Starts the run of a spec file and shows it until it is over. What was run before, by the same spec on the same
 * definitions, is not run again, unless it failed.
 */
export const train = async (
  { training }: Clients,
  specFile: string,
  definitionsHash: string,
  narration: Narration,
): Promise<Run> => {
  const text = await readFile(specFile, "utf8");
  const spec = fromJson(TrainingSpecSchema, parse(text) as JsonValue);
  let idempotencyKey = `walkthrough-${shortHash(text + definitionsHash)}`;
  for (;;) {
    const { run: started } = await whileAway(() =>
      training.startRun({ spec, idempotencyKey, requestedBy: "the flights walkthrough" }),
    );
    if (started === undefined) throw new Error("StartRun answered without a run.");
    if (over.has(started.state)) narration.line(`Run ${started.id} was made before: ${stateName(started.state)}.`);
    if (started.state === RunState.FAILED || started.state === RunState.CANCELLED) {
      idempotencyKey = `${idempotencyKey}-${shortHash(started.id)}`;
      continue;
    }
    const run = await watch({ training }, started.id, narration);
    if (run.state !== RunState.SUCCEEDED) throw new RunUnsuccessfulError(run);
    return run;
  }
};

/** Shows a run until it is over. A service that dies on the way is started again, and its run goes on; so does this. */
export const watch = ({ training }: Pick<Clients, "training">, id: string, narration: Narration): Promise<Run> => {
  let shownEpochs = 0;
  const show = (run: Run): void => {
    for (const epoch of run.epochs.slice(shownEpochs)) {
      narration.line(
        `epoch ${String(epoch.epoch).padStart(2)}  loss ${epoch.trainingLoss.toFixed(4)}  validation ${epoch.validationLoss.toFixed(4)}  ${epoch.seconds.toFixed(1)} s`,
      );
    }
    shownEpochs = Math.max(shownEpochs, run.epochs.length);
    if (over.has(run.state) || run.progress === undefined) return;
    const { rows, totalRows, secondsLeft } = run.progress;
    const done = rows === 0n ? "" : totalRows === 0n ? `, ${rows} rows` : `, ${rows} of ${totalRows} rows`;
    const left = secondsLeft > 0 ? `, ${Math.ceil(secondsLeft)} s left` : "";
    narration.progress(`${phaseName(run.phase)}${done}${left}`);
  };
  return whileAway(async () => {
    for await (const { run } of training.watchRun({ id }, { timeoutMs: 1_800_000 })) {
      if (run === undefined) continue;
      show(run);
      if (over.has(run.state)) return run;
    }
    throw new Error(`The service stopped telling of run ${id} before it was over.`);
  });
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
