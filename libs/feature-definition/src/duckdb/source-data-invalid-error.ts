import { type FieldViolation, MillraceError, Reason } from "@millrace/errors";

/** Thrown when the files of a source, or of entity rows, are missing or do not have the columns that they should. */
export class SourceDataInvalidError extends MillraceError {
  constructor(what: string, violations: readonly FieldViolation[]) {
    const lines = violations.map(({ field, expected, got }) => `${field}: expected ${expected}, got ${got}`);
    super("FAILED_PRECONDITION", Reason.SOURCE_DATA_INVALID, `The data of ${what} does not fit: ${lines.join("; ")}.`, {
      violations,
      resource: { kind: "data", name: what },
    });
  }
}
