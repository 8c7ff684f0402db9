import { DurationHistogram } from "@millrace/service-host";
import type { CloseReason } from "@millrace/tensor";

/** Upper bounds of the histograms of durations, in seconds. */
export const durationBounds: readonly number[] = [
  0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10,
];

/** A count of things and the time that they took together, in ns. */
export interface CountedTime {
  count: number;
  ns: number;
}

/** Why a request failed, in the words of Triton's `nv_inference_request_failure`. */
export type FailureReason = "REJECTED" | "CANCELED" | "BACKEND" | "OTHER";

export interface BatchSizeStatistics {
  readonly input: CountedTime;
  readonly infer: CountedTime;
  readonly output: CountedTime;
}

const counted = (): CountedTime => ({ count: 0, ns: 0 });

/**
 * What a model version has done since it was loaded, with the meanings that Triton gives them: `success` counts requests,
 * `inferences` counts rows, `executions` counts runs. Plain numbers that the hot path adds to; metrics and the statistics
 * call read them.
 */
export class ModelStatistics {
  inferences = 0;
  executions = 0;
  /** Milliseconds since 1970; 0 before the first. */
  lastInferenceMs = 0;
  readonly success = counted();
  readonly fail = counted();
  readonly failures: Record<FailureReason, number> = { REJECTED: 0, CANCELED: 0, BACKEND: 0, OTHER: 0 };
  /** From the arrival of a request until its batch was closed. */
  readonly queue = counted();
  /** Requests that the response cache answered, and the time of looking them up. They count as success and inferences. */
  readonly cacheHit = counted();
  /** Requests that it could not answer, and the time of looking them up and of keeping their answers. */
  readonly cacheMiss = counted();
  /** Successful requests by their whole time, and all that were run by their time in the queue. */
  readonly requestDurations = new DurationHistogram(durationBounds);
  readonly queueDurations = new DurationHistogram(durationBounds);
  /** What befell the model's workers. */
  readonly instances = { lost: 0, wedged: 0, replaced: 0 };
  /** Copying the requests' rows into shared memory, and handing over. */
  readonly input = counted();
  /** Inside of the runtime. */
  readonly infer = counted();
  /** Reading the answers out of shared memory. */
  readonly output = counted();
  readonly batches = new Map<number, BatchSizeStatistics>();
  readonly closed = new Map<CloseReason, number>();

  /** Records a run and the requests that were in it. Times in ns. */
  ran(run: {
    rows: number;
    requests: number;
    closed: CloseReason;
    inputNs: number;
    inferNs: number;
    outputNs: number;
  }): void {
    const { rows, requests } = run;
    this.executions++;
    this.inferences += rows;
    this.lastInferenceMs = Date.now();
    add(this.input, requests, run.inputNs * requests);
    add(this.infer, requests, run.inferNs * requests);
    add(this.output, requests, run.outputNs * requests);
    this.closed.set(run.closed, (this.closed.get(run.closed) ?? 0) + 1);
    let batch = this.batches.get(rows);
    if (batch === undefined) {
      batch = { input: counted(), infer: counted(), output: counted() };
      this.batches.set(rows, batch);
    }
    add(batch.input, 1, run.inputNs);
    add(batch.infer, 1, run.inferNs);
    add(batch.output, 1, run.outputNs);
  }

  succeeded(ns: number): void {
    add(this.success, 1, ns);
    this.requestDurations.add(ns);
  }

  waited(ns: number): void {
    add(this.queue, 1, ns);
    this.queueDurations.add(ns);
  }

  /** Records a request that the cache answered. Times in ns. */
  hit(rows: number, lookupNs: number, wholeNs: number): void {
    this.inferences += rows;
    this.lastInferenceMs = Date.now();
    add(this.cacheHit, 1, lookupNs);
    this.succeeded(wholeNs);
  }

  failed(reason: FailureReason, ns: number): void {
    add(this.fail, 1, ns);
    this.failures[reason]++;
  }
}

/** Adds to a counted time. */
export const add = (time: CountedTime, count: number, ns: number): void => {
  time.count += count;
  time.ns += ns;
};
