import { type CloseReason, ModelFailedError, Slab, type Tensor } from "@millrace/tensor";
import { layBatch, outputsOf, rowsOf } from "./batch-rows.ts";
import type { LaneRequest } from "./lane-request.ts";
import type { ModelInstance } from "./model-instance.ts";
import type { ModelStatistics } from "./model-statistics.ts";
import type { RunTimeEstimate } from "./run-time-estimate.ts";

/** An instance and the memory that it shares with this thread. */
export interface LaneSlot {
  readonly instance: ModelInstance;
  slab: Slab;
  /** Whether a batch holds it: also between the runs of a batch whose requests are run one by one. */
  busy: boolean;
  /** Rows of the batch at hand, and since when it runs. */
  rows: number;
  sinceMs: number;
  /** Whether more waited when it began: then the next one begins as soon as this one ends. */
  hasBacklog: boolean;
}

/** Requests that run together. */
export interface Together {
  readonly requests: readonly LaneRequest[];
  readonly rows: number;
  readonly closed: CloseReason;
}

/** What is told of a run. */
export interface RunRecords {
  readonly batched: boolean;
  readonly statistics: ModelStatistics;
  readonly estimate: RunTimeEstimate;
}

/** Runs requests together and has them read their answers. @returns the error that the run failed with. */
export const runRequests = async (
  slot: LaneSlot,
  { requests, rows, closed }: Together,
  { batched, statistics, estimate }: RunRecords,
): Promise<{ readonly error: unknown } | undefined> => {
  const startedMs = performance.now();
  const { instance, slab } = slot;
  try {
    const laid = layBatch(
      slab,
      requests.map((request) => request.inputs),
      batched ? rows : undefined,
      instance,
    );
    const running = instance.run(slab.memory, laid);
    const inputNs = (performance.now() - startedMs) * 1e6;
    const ran = await running;
    const outputStartedMs = performance.now();
    readAnswers(requests, rows, outputsOf(instance, slab.memory, laid.places, ran.unplaced));
    const endedMs = performance.now();
    estimate.ran(rows, endedMs - startedMs, endedMs);
    statistics.ran({
      rows,
      requests: requests.length,
      closed,
      inputNs,
      inferNs: ran.inferNs,
      outputNs: (endedMs - outputStartedMs) * 1e6,
    });
    return undefined;
  } catch (error) {
    // A run that goes on after all still writes to the memory that it was given.
    if (instance.state !== "free") slot.slab = new Slab();
    return { error };
  }
};

const readAnswers = (requests: readonly LaneRequest[], rows: number, outputs: readonly Tensor[]): void => {
  const [only] = requests;
  if (requests.length === 1 && only !== undefined) {
    only.read(outputs);
    return;
  }
  const wrong = outputs.find(({ shape }) => shape[0] !== rows);
  if (wrong !== undefined) {
    throw new ModelFailedError(
      `The output ${wrong.name} has ${wrong.shape[0] ?? "no"} rows for ${rows} rows of input: the model cannot be batched. Set max_batch_size to 1.`,
    );
  }
  let first = 0;
  for (const request of requests) {
    request.read(outputs.map((output) => rowsOf(output, first, request.rows)));
    first += request.rows;
  }
};
