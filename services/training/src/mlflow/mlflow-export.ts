import type { Run } from "@millrace/contracts/millrace/training/v1/training_service";
import { Counter, type Registry } from "prom-client";
import { isOver, type RunLedger } from "../runs/run-ledger.ts";
import { type MlflowClient, MlflowFailedError } from "./mlflow-client.ts";
import { mlflowRun } from "./mlflow-run.ts";

const firstPauseMs = 5_000;
const longestPauseMs = 300_000;

export interface MlflowExportOptions {
  readonly ledger: RunLedger;
  readonly client: MlflowClient;
  readonly registry: Registry;
  /** Told of the first failure after a success, and of each run that is refused: the rest is tried in silence. */
  readonly onTrouble: (error: unknown) => void;
}

/**
 * Writes runs that are over to MLflow, those from before it was named too. A tracking server that is away delays nothing:
 * what it did not take is tried again after a pause, which doubles up to five minutes, and after a restart.
 */
export class MlflowExport {
  readonly #options: MlflowExportOptions;
  readonly #exports: Counter<"outcome">;
  /** Runs that MLflow refuses as they are: not asked again before a restart, and no hindrance to the others. */
  readonly #refused = new Set<string>();
  #wake = Promise.withResolvers<void>();

  constructor(options: MlflowExportOptions) {
    this.#options = options;
    this.#exports = new Counter({
      name: "millrace_training_mlflow_exports_total",
      help: "Runs that were written to MLflow or refused by it, and attempts that failed, by outcome.",
      labelNames: ["outcome"],
      registers: [options.registry],
    });
  }

  /** A run may be over: it is looked for at once. */
  notify(): void {
    this.#wake.resolve();
  }

  async run(signal: AbortSignal): Promise<void> {
    let pauseMs = firstPauseMs;
    let isTroubled = false;
    const onAbort = () => this.notify();
    signal.addEventListener("abort", onAbort, { once: true });
    while (!signal.aborted) {
      this.#wake = Promise.withResolvers<void>();
      try {
        await this.#exportAll(signal);
        pauseMs = firstPauseMs;
        isTroubled = false;
        if (!signal.aborted) await this.#wake.promise;
      } catch (error) {
        if (signal.aborted) break;
        this.#exports.inc({ outcome: "failed" });
        if (!isTroubled) this.#options.onTrouble(error);
        isTroubled = true;
        await pause(pauseMs, signal);
        pauseMs = Math.min(longestPauseMs, pauseMs * 2);
      }
    }
    signal.removeEventListener("abort", onAbort);
  }

  async #exportAll(signal: AbortSignal): Promise<void> {
    const { ledger } = this.#options;
    for (const run of (await ledger.all()).reverse()) {
      if (!isOver(run.state) || run.mlflowRunId !== "" || this.#refused.has(run.id)) continue;
      signal.throwIfAborted();
      const mlflowRunId = await this.#write(run, signal);
      if (mlflowRunId === undefined) continue;
      await ledger.change(run.id, (written) => {
        written.mlflowRunId = mlflowRunId;
      });
      this.#exports.inc({ outcome: "written" });
    }
  }

  /** @returns MLflow's id, or undefined where it refuses this run. @throws MlflowFailedError where it may yet take it. */
  async #write(run: Run, signal: AbortSignal): Promise<string | undefined> {
    try {
      return await this.#options.client.write(mlflowRun(run), signal);
    } catch (error) {
      if (!(error instanceof MlflowFailedError) || !error.isRefusal) throw error;
      this.#refused.add(run.id);
      this.#exports.inc({ outcome: "refused" });
      this.#options.onTrouble(error);
      return undefined;
    }
  }
}

const pause = (ms: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener("abort", end, { once: true });
  });
