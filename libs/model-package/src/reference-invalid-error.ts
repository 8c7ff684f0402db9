import { MillraceError, Reason } from "@millrace/errors";

/** Thrown when a repository name, tag or package reference is not well formed, before any store is asked. */
export class ReferenceInvalidError extends MillraceError {
  constructor(field: string, expected: string, got: string) {
    super("INVALID_ARGUMENT", Reason.FIELD_INVALID, `${field}: expected ${expected}, got ${JSON.stringify(got)}.`, {
      violations: [{ field, expected, got }],
    });
  }
}
