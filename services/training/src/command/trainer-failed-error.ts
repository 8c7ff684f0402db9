import { MillraceError, Reason } from "@millrace/errors";

/** Thrown when the program of a `command` trainer fails, takes too long, or leaves no model that fits the dataset. */
export class TrainerFailedError extends MillraceError {
  /** @param field the part of the spec, or the file that the program was to write. */
  constructor(field: string, explanation: string, cause?: unknown) {
    super("FAILED_PRECONDITION", Reason.TRAINER_FAILED, explanation, {
      violations: [{ field, expected: "a program that leaves a model", got: explanation }],
      ...(cause === undefined ? {} : { cause }),
    });
  }
}
