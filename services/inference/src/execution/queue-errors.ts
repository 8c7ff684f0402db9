import { MillraceError, Reason } from "@millrace/errors";

/** Thrown where the caller's time was over before the model ran. */
export class DeadlinePassedError extends MillraceError {
  constructor(waitedMs: number) {
    super(
      "DEADLINE_EXCEEDED",
      Reason.DEADLINE_EXCEEDED,
      `The deadline left no time for a run after the request had waited ${Math.round(waitedMs)} ms in the model's queue; it was not run.`,
    );
  }
}

/** Thrown where a request waited longer than the model's queue policy lets it. */
export class QueueTimeoutError extends MillraceError {
  constructor(waitedMs: number, retryAfterMs: number) {
    super(
      "UNAVAILABLE",
      Reason.OVERLOADED,
      `Request timeout expired: the request waited ${Math.round(waitedMs)} ms in the model's queue, longer than its policy allows; it was not run.`,
      { retryAfterMs },
    );
  }
}

/** Thrown on arrival, where so much is ahead of a request that its deadline would pass. */
export class DeadlineUnreachableError extends MillraceError {
  constructor(predictedMs: number, leftMs: number, retryAfterMs: number) {
    super(
      "RESOURCE_EXHAUSTED",
      Reason.OVERLOADED,
      `The request would be answered in about ${Math.ceil(predictedMs)} ms by what is ahead of it, and its deadline is in ${Math.max(0, Math.floor(leftMs))} ms.`,
      { retryAfterMs, metadata: { predictedMs: String(Math.ceil(predictedMs)) } },
    );
  }
}

/** Thrown where the caller gave up before the model ran. */
export class InferenceCancelledError extends MillraceError {
  constructor() {
    super("CANCELLED", Reason.CANCELLED, "The caller gave up while the request waited in the model's queue.");
  }
}

/** Thrown to whoever waits when no instance is left that could run it. */
export class NoInstanceError extends MillraceError {
  constructor() {
    super(
      "UNAVAILABLE",
      Reason.MODEL_NOT_READY,
      "No instance of the model can take work: each is wedged in a run or was lost.",
      { retryAfterMs: 1000 },
    );
  }
}
