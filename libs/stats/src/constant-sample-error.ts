import { MillraceError, Reason } from "@millrace/errors";

/** Thrown when a test is not defined where all values of both samples are one. */
export class ConstantSampleError extends MillraceError {
  constructor(test: string) {
    super("FAILED_PRECONDITION", Reason.SAMPLE_EMPTY, `${test} is not defined where all values are equal.`, {
      metadata: { test },
    });
  }
}
