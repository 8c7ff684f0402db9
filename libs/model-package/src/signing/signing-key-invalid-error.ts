import { MillraceError, Reason } from "@millrace/errors";

/** Thrown when a key to sign or to verify with cannot be used. The text never repeats anything of the key. */
export class SigningKeyInvalidError extends MillraceError {
  constructor(key: string, expected: string, got: string, cause?: unknown) {
    super("INVALID_ARGUMENT", Reason.FIELD_INVALID, `The key ${key}: expected ${expected}, got ${got}.`, {
      violations: [{ field: key, expected, got }],
      ...(cause === undefined ? {} : { cause }),
    });
  }
}
