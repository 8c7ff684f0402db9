import { MillraceError, Reason } from "@millrace/errors";

/** Thrown by every method that takes a run's id, for one that is not known. */
export class RunUnknownError extends MillraceError {
  constructor(id: string) {
    super("NOT_FOUND", Reason.RUN_UNKNOWN, `There is no run ${id}.`, { resource: { kind: "run", name: id } });
  }
}

/** Thrown by CancelRun for a run that is over. */
export class RunFinishedError extends MillraceError {
  constructor(id: string, state: string) {
    super("FAILED_PRECONDITION", Reason.RUN_FINISHED, `The run ${id} is over (${state}): it cannot be cancelled.`, {
      resource: { kind: "run", name: id },
    });
  }
}

/** Thrown by StartRun when too many runs wait. */
export class QueueFullError extends MillraceError {
  constructor(maxQueuedRuns: number) {
    super("RESOURCE_EXHAUSTED", Reason.OVERLOADED, `${maxQueuedRuns} runs wait already.`, { retryAfterMs: 60_000 });
  }
}

/** Thrown when somebody else changed a run's record at the same time, again and again. */
export class RunConflictError extends MillraceError {
  constructor(id: string) {
    super("ABORTED", Reason.CONFLICT, `The record of run ${id} is being changed by another process.`);
  }
}
