import { type FieldViolation, MillraceError, Reason } from "@millrace/errors";

/** Thrown by StartRun for a spec that cannot work: all of its violations at once, each naming its field. */
export class TrainingSpecInvalidError extends MillraceError {
  constructor(violations: readonly FieldViolation[]) {
    const sentences = violations.map(({ field, expected, got }) => `${field}: expected ${expected}, got ${got}.`);
    super("INVALID_ARGUMENT", Reason.TRAINING_SPEC_INVALID, `The training spec cannot work. ${sentences.join(" ")}`, {
      violations,
    });
  }
}
