import { MillraceError, Reason } from "@millrace/errors";

/** Thrown for a topic name, partition or record that no adapter takes. Nothing of the append was written. */
export class RecordInvalidError extends MillraceError {
  constructor(field: string, expected: string, got: string, reason: "invalid" | "too large" = "invalid") {
    const message = `${field} is ${reason}: expected ${expected}, got ${got}.`;
    super("INVALID_ARGUMENT", reason === "invalid" ? Reason.FIELD_INVALID : Reason.TOO_LARGE, message, {
      violations: [{ field, expected, got }],
    });
  }
}
