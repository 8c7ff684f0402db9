import { type FieldViolation, MillraceError, Reason } from "@millrace/errors";

/** Thrown when the entity rows lack a column that the features need, or have it with another type. */
export class ColumnInvalidError extends MillraceError {
  constructor(violations: readonly FieldViolation[]) {
    const lines = violations.map(({ field, expected, got }) => `${field}: expected ${expected}, got ${got}`);
    super("INVALID_ARGUMENT", Reason.COLUMN_INVALID, `The entity rows do not fit: ${lines.join("; ")}.`, {
      violations,
    });
  }
}
