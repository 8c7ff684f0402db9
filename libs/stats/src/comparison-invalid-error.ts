import { type FieldViolation, MillraceError, Reason } from "@millrace/errors";

/** Thrown when two tables, or the tests asked of them, cannot be compared at all. */
export class ComparisonInvalidError extends MillraceError {
  constructor(message: string, violations: readonly FieldViolation[], cause?: unknown) {
    super("INVALID_ARGUMENT", Reason.COMPARISON_INVALID, message, { violations, cause });
  }
}
