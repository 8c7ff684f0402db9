import { MillraceError, Reason } from "@millrace/errors";

/** Thrown when the content of a package cannot be pushed as it is: nothing was written. */
export class PackageContentInvalidError extends MillraceError {
  constructor(field: string, expected: string, got: string) {
    super("INVALID_ARGUMENT", Reason.FIELD_INVALID, `The package's ${field}: expected ${expected}, got ${got}.`, {
      violations: [{ field, expected, got }],
    });
  }
}
