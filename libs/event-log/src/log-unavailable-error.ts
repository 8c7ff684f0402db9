import { MillraceError, Reason } from "@millrace/errors";

/** Thrown by every method of an event log when its broker or folder does not answer. Trying again makes sense. */
export class LogUnavailableError extends MillraceError {
  constructor(doing: string, cause?: unknown) {
    super("UNAVAILABLE", Reason.LOG_UNAVAILABLE, `The event log did not answer: ${doing}.`, {
      cause,
      retryAfterMs: 1000,
    });
  }
}
