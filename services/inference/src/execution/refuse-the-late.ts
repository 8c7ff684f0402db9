import type { LaneRequest } from "./lane-request.ts";
import { DeadlineUnreachableError } from "./queue-errors.ts";
import type { LaneSlot } from "./run-requests.ts";
import type { RunTimeEstimate } from "./run-time-estimate.ts";

/**
 * A run may take so many times what was measured, and all in its batch are still answered in time. More than of a single
 * prediction is kept in reserve, since a batch that ends late is late for everyone in it.
 */
export const batchMargin = 2;

/** What is ahead of a request. */
export interface Ahead {
  readonly slots: readonly LaneSlot[];
  /** Rows that wait and would run before it. */
  readonly rows: number;
  readonly maxBatchSize: number;
  readonly estimate: RunTimeEstimate;
  /** So many times the predicted time must be left: `DeadlineMargin`. */
  readonly marginFactor: number;
}

/**
 * Refuses a request that would be answered after its deadline, so that the time of the instances goes to requests whose
 * callers still wait. Where nothing is ahead of it, it is never refused: its run is what the estimate recovers by.
 * @throws DeadlineUnreachableError
 */
export const refuseTheLate = (
  { rows, expiresAtMs, arrivedMs }: LaneRequest,
  { slots, rows: ahead, maxBatchSize, estimate, marginFactor }: Ahead,
): void => {
  if (expiresAtMs === undefined) return;
  let alive = 0;
  let leftMs = Infinity;
  for (const { instance, rows: running, sinceMs } of slots) {
    if (instance.state !== "free" && instance.state !== "running") continue;
    alive++;
    const runMs = instance.state === "free" ? 0 : (estimate.runMs(running, arrivedMs) ?? 0);
    leftMs = Math.min(leftMs, runMs === 0 ? 0 : Math.max(0, sinceMs + runMs - arrivedMs));
  }
  if (alive === 0 || (ahead === 0 && leftMs === 0)) return;
  const workMs = estimate.workMs(ahead + Math.max(1, rows), maxBatchSize, alive, arrivedMs);
  if (workMs === undefined) return;
  const predictedMs = (leftMs + workMs) * marginFactor;
  const untilMs = expiresAtMs - arrivedMs;
  if (predictedMs <= untilMs) return;
  throw new DeadlineUnreachableError(predictedMs, untilMs, Math.max(1, Math.ceil(predictedMs - untilMs)));
};
