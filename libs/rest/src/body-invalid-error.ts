import { MillraceError, Reason } from "@millrace/errors";

/** Thrown when the body of a request in the REST form is malformed. */
export class BodyInvalidError extends MillraceError {
  constructor(field: string, expected: string, got: string, cause?: unknown) {
    super("INVALID_ARGUMENT", Reason.FIELD_INVALID, `${field}: expected ${expected}, got ${got}.`, {
      violations: [{ field, expected, got }],
      ...(cause === undefined ? {} : { cause }),
    });
  }
}
