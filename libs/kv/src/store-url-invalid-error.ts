import { MillraceError, Reason } from "@millrace/errors";

/** Thrown when a store's URL names no adapter, or is malformed. */
export class StoreUrlInvalidError extends MillraceError {
  /** @param got the URL without user and password. */
  constructor(expected: string, got: string) {
    super("INVALID_ARGUMENT", Reason.URL_INVALID, `The store URL is invalid: expected ${expected}, got ${got}.`, {
      violations: [{ field: "url", expected, got }],
    });
  }
}
