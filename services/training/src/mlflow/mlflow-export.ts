import { Counter, type Registry } from "prom-client";
import { isOver, type RunLedger } from "../runs/run-ledger.ts";
import type { MlflowClient } from "./mlflow-client.ts";
import { mlflowRun } from "./mlflow-run.ts";

const firstPauseMs = 5_000;
const longestPauseMs = 300_000;

export interface MlflowExportOptions {
  readonly ledger: RunLedger;
  readonly client: MlflowClient;
  readonly registry: Registry;
  /** Told of the first failure after a success: the others are tried in silence. */
  readonly onTrouble: (error: unknown) => void;
}

/**
 * Writes runs that are over to MLflow, those from before it was named too. A tracking server that is away delays nothing:
 * what it did not take is tried again after a pause, which doubles up to five minutes, and after a restart.
 */
export class MlflowExport {
  readonly #options: MlflowExportOptions;
  readonly #exports: Counter<"outcome">;
  #wake = Promise.withResolvers<void>();

  constructor(options: MlflowExportOptions) {
    this.#options = options;
    this.#exports = new Counter({
      name: "millrace_training_mlflow_exports_total",
      help: "Runs that were written to MLflow, and attempts that failed, by outcome.",
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
    const { ledger, client } = this.#options;
    for (const run of (await ledger.all()).reverse()) {
      if (!isOver(run.state) || run.mlflowRunId !== "") continue;
      signal.throwIfAborted();
      const mlflowRunId = await client.write(mlflowRun(run), signal);
      await ledger.change(run.id, (written) => {
        written.mlflowRunId = mlflowRunId;
      });
      this.#exports.inc({ outcome: "written" });
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
