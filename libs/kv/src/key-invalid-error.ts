import { MillraceError, Reason } from "@millrace/errors";

/** Thrown when a key is empty or too long, or when keys of one transaction carry different hash tags. */
export class KeyInvalidError extends MillraceError {
  constructor(field: string, expected: string, got: string) {
    super("INVALID_ARGUMENT", Reason.FIELD_INVALID, `The key is invalid: ${field}: expected ${expected}, got ${got}.`, {
      violations: [{ field, expected, got }],
    });
  }
}
