import { type Epoch, type Run, RunState } from "@millrace/contracts/millrace/training/v1/training_service";
import { Counter, Gauge, type Registry } from "prom-client";
import { phaseName, stateName } from "./state-name.ts";

/** The metrics of the queue and its runs. */
export class RunMetrics {
  readonly #registry: Registry;
  readonly #ended: Counter<"state">;
  readonly #epochSeconds: Gauge<"spec">;

  constructor(registry: Registry) {
    this.#registry = registry;
    this.#ended = new Counter({
      name: "millrace_training_runs_total",
      help: "Runs that are over, by how they ended.",
      labelNames: ["state"],
      registers: [registry],
    });
    this.#epochSeconds = new Gauge({
      name: "millrace_training_epoch_seconds",
      help: "Duration of the newest epoch of a spec, in seconds.",
      labelNames: ["spec"],
      registers: [registry],
    });
  }

  /** Shows how many runs wait and are under way. */
  watch(queue: { readonly waiting: number; readonly running: number }): void {
    new Gauge({
      name: "millrace_training_runs",
      help: "Runs that wait or are under way.",
      labelNames: ["state"],
      registers: [this.#registry],
      collect() {
        this.set({ state: "queued" }, queue.waiting);
        this.set({ state: "running" }, queue.running);
      },
    });
  }

  /** Counts what a changed run tells. */
  note(run: Run): void {
    const epoch = run.epochs.at(-1);
    if (epoch !== undefined && run.state === RunState.RUNNING) {
      this.#epochSeconds.set({ spec: run.spec?.name ?? "" }, epoch.seconds);
    }
    if (run.endedAt !== undefined) {
      this.#ended.inc({ state: stateName(run.state) });
    }
  }

  /** What a run is at, for the log. */
  sentence(run: Run): string {
    if (run.state === RunState.RUNNING) {
      const epoch = run.epochs.at(-1);
      return `Run ${run.id} is ${phaseName(run.phase)}.${epoch === undefined ? "" : ` ${epochSentence(epoch)}`}`;
    }
    const why = run.error === undefined ? "" : ` ${run.error.message}`;
    return `Run ${run.id} is ${stateName(run.state)}.${why}`;
  }
}

/** A program's epoch has the metrics that it tells; one of our own networks has its losses. */
const epochSentence = ({ epoch, trainingLoss, validationLoss, metrics }: Epoch): string => {
  const told = Object.entries(metrics);
  const figures =
    told.length > 0 ? told : Object.entries({ "training loss": trainingLoss, "validation loss": validationLoss });
  return `After epoch ${epoch}: ${figures.map(([name, value]) => `${name} ${value.toPrecision(5)}`).join(", ")}.`;
};
