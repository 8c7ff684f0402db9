import { mkdir, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { create, toBinary } from "@bufbuild/protobuf";
import { timestampNow } from "@bufbuild/protobuf/wkt";
import type { FeatureService } from "@millrace/contracts/millrace/feature/v1/feature_service";
import {
  type Run,
  RunPhase,
  RunProgressSchema,
  RunState,
} from "@millrace/contracts/millrace/training/v1/training_service";
import { TrainingSpecSchema } from "@millrace/contracts/millrace/training/v1/training_spec";
import type { DataLocation } from "@millrace/feature-definition/duckdb";
import { type Client, RpcError } from "@millrace/grpc";
import { fetchTrainingSet } from "../dataset/fetch-training-set.ts";
import { QueueFullError, RunFinishedError } from "./run-errors.ts";
import { isOver, type RunLedger } from "./run-ledger.ts";
import { type ProcessEnd, runProcess } from "./run-process.ts";
import { finish, recordReport, showProgress } from "./run-record.ts";
import { stateName } from "./state-name.ts";

export interface RunQueueOptions {
  readonly ledger: RunLedger;
  readonly features: Client<typeof FeatureService> | undefined;
  readonly workFolder: string;
  readonly location: DataLocation;
  readonly modelStoreUrl: string;
  readonly trainerFolder: string;
  readonly maxConcurrentRuns: number;
  readonly maxQueuedRuns: number;
  /** A run failed by a defect, not by its spec or data. */
  onDefect(id: string, stack: string): void;
  onChange(run: Run): void;
}

class Cancelled extends Error {}

/** How often a run whose process crashed is taken up again from its checkpoint, before it counts as failed. */
const retriesAfterCrash = 2;

/**
 * Takes runs up in the order in which they were started, so many at a time. A run that the service was stopped in, or
 * killed in, is taken up again when the service is back: its record says how often.
 */
export class RunQueue {
  readonly #options: RunQueueOptions;
  readonly #waiting: string[] = [];
  readonly #running = new Map<string, AbortController>();
  #wake = Promise.withResolvers<void>();

  constructor(options: RunQueueOptions) {
    this.#options = options;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  get running(): number {
    return this.#running.size;
  }

  /** @throws QueueFullError; call it before the run is written. */
  refuseWhenFull(): void {
    if (this.#waiting.length >= this.#options.maxQueuedRuns) {
      throw new QueueFullError(this.#options.maxQueuedRuns);
    }
  }

  add(id: string): void {
    this.#waiting.push(id);
    this.#wake.resolve();
  }

  /** @throws RunUnknownError, RunFinishedError */
  async cancel(id: string): Promise<Run> {
    const running = this.#running.get(id);
    // A run that has just ended is in `running` a moment longer than its record says.
    if (running === undefined || isOver((await this.#options.ledger.get(id)).state)) {
      const run = await this.#options.ledger.change(id, (record) => {
        if (isOver(record.state)) {
          throw new RunFinishedError(id, stateName(record.state));
        }
        record.state = RunState.CANCELLED;
        record.endedAt = timestampNow();
      });
      this.#options.onChange(run);
      return run;
    }
    const over = this.#untilOver(id);
    running.abort(new Cancelled("The run was cancelled."));
    return await over;
  }

  /** Works until the signal is aborted; runs that are under way then stay RUNNING, and are taken up again later. */
  async run(signal: AbortSignal): Promise<void> {
    for (const record of (await this.#options.ledger.all()).reverse()) {
      if (!isOver(record.state)) {
        this.#waiting.push(record.id);
      }
    }
    const stop = (): void => this.#wake.resolve();
    signal.addEventListener("abort", stop);
    const underWay = new Set<Promise<void>>();
    while (!signal.aborted) {
      this.#wake = Promise.withResolvers<void>();
      while (this.#running.size < this.#options.maxConcurrentRuns) {
        const id = this.#waiting.shift();
        if (id === undefined) {
          break;
        }
        const abort = new AbortController();
        this.#running.set(id, abort);
        const work = this.#takeUp(id, AbortSignal.any([signal, abort.signal]), signal).finally(() => {
          this.#running.delete(id);
          underWay.delete(work);
          this.#wake.resolve();
        });
        underWay.add(work);
        // A run whose end cannot be written stops the service: `run` below rejects with it.
        work.catch(() => {});
      }
      await Promise.race([this.#wake.promise, ...underWay]);
    }
    signal.removeEventListener("abort", stop);
    await Promise.all(underWay);
  }

  async #takeUp(id: string, signal: AbortSignal, stopping: AbortSignal): Promise<void> {
    const { ledger, onChange } = this.#options;
    const before = await ledger.get(id);
    if (isOver(before.state)) {
      return;
    }
    const record = await ledger.change(id, (run) => {
      if (run.state === RunState.RUNNING) {
        run.resumes += 1;
      }
      run.state = RunState.RUNNING;
      run.phase = RunPhase.READING;
      run.startedAt ??= timestampNow();
      run.progress = create(RunProgressSchema, { detail: "Reading the dataset." });
    });
    onChange(record);
    const runFolder = resolve(join(this.#options.workFolder, id));
    let end = await this.#execute(record, runFolder, signal);
    for (let retry = 0; end.kind === "crashed" && retry < retriesAfterCrash; retry++) {
      this.#options.onDefect(id, `The run's process crashed (${end.how}); it is taken up again.`);
      onChange(
        await ledger.change(id, (run) => {
          run.resumes += 1;
        }),
      );
      end = await this.#execute(record, runFolder, signal);
    }
    if (stopping.aborted && end.kind === "stopped") {
      return;
    }
    onChange(await ledger.change(id, (run) => finish(run, end, retriesAfterCrash)));
    // What a failed run has reached is kept for whoever looks into it, its last good checkpoint for one.
    if (end.kind === "finished" || end.kind === "stopped") {
      await rm(runFolder, { recursive: true, force: true });
    } else if (end.kind === "failed" && end.reason === "INTERNAL") {
      this.#options.onDefect(id, end.stack);
    }
  }

  async #execute(record: Run, runFolder: string, signal: AbortSignal): Promise<ProcessEnd> {
    const { ledger, features, location, modelStoreUrl, trainerFolder, onChange } = this.#options;
    const { id, spec } = record;
    const dataset = spec?.dataset;
    if (spec === undefined || dataset === undefined) {
      return {
        kind: "failed",
        reason: "TRAINING_SPEC_INVALID",
        message: "The run has no spec.",
        field: "spec",
        stack: "",
      };
    }
    // Reports are written one after the other, so that the record never goes back.
    let written = Promise.resolve();
    try {
      await mkdir(runFolder, { recursive: true });
      if (dataset.featureService !== "") {
        if (features === undefined) {
          const message = "The service has no address of feature-serving: see featureServingAddress.";
          return {
            kind: "failed",
            reason: "FEATURES_UNAVAILABLE",
            message,
            field: "dataset.feature_service",
            stack: "",
          };
        }
        await fetchTrainingSet(
          features,
          dataset,
          runFolder,
          (rows, totalRows, detail) =>
            ledger.show(id, (run) => {
              run.progress = create(RunProgressSchema, { rows: BigInt(rows), totalRows: BigInt(totalRows), detail });
            }),
          signal,
        );
      }
      const order = {
        spec: toBinary(TrainingSpecSchema, spec),
        codeRevision: record.codeRevision,
        runFolder,
        location,
        modelStoreUrl,
        trainerFolder: resolve(trainerFolder),
        logFile: `${runFolder}.log`,
      };
      return await runProcess(
        order,
        (report) => {
          if (report.kind === "rows" || report.kind === "training") {
            ledger.show(id, (run) => showProgress(run, report));
            return;
          }
          written = written.then(async () => onChange(await ledger.change(id, (run) => recordReport(run, report))));
        },
        signal,
      );
    } catch (error) {
      if (signal.aborted) {
        return { kind: "stopped" };
      }
      return failureOf(error);
    } finally {
      await written;
    }
  }

  async #untilOver(id: string): Promise<Run> {
    let last: Run | undefined;
    for await (const run of this.#options.ledger.watch(id, new AbortController().signal)) {
      last = run;
    }
    return last ?? (await this.#options.ledger.get(id));
  }
}

const failureOf = (error: unknown): ProcessEnd => {
  const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
  if (error instanceof RpcError) {
    return {
      kind: "failed",
      reason: error.reason,
      message: error.message,
      field: error.violations[0]?.field ?? "",
      stack,
    };
  }
  return {
    kind: "failed",
    reason: "INTERNAL",
    message: "The run failed by a defect; the service's log has the cause.",
    field: "",
    stack,
  };
};
