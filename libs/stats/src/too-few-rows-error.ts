import { MillraceError, Reason } from "@millrace/errors";

/** Thrown when a test needs more rows than there are. */
export class TooFewRowsError extends MillraceError {
  constructor(test: string, least: number, where: string, got: number) {
    super("FAILED_PRECONDITION", Reason.SAMPLE_EMPTY, `${test} needs ${least} rows ${where}, got ${got}.`, {
      metadata: { test },
    });
  }
}
