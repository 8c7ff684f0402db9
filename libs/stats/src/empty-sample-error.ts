import { MillraceError, Reason } from "@millrace/errors";

/** Thrown when a statistic of one or two samples is asked and a sample has no usable value. */
export class EmptySampleError extends MillraceError {
  /** @param sample names the empty side, for example `reference`. */
  constructor(sample: string) {
    super("INVALID_ARGUMENT", Reason.SAMPLE_EMPTY, `The sample \`${sample}\` has no value that could be counted.`, {
      violations: [{ field: sample, expected: "at least one finite value", got: "none" }],
    });
  }
}
