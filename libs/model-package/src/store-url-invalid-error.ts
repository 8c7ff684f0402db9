import { MillraceError, Reason } from "@millrace/errors";

/** Thrown when the URL of a model store names no adapter, or is malformed. The text never repeats credentials. */
export class StoreUrlInvalidError extends MillraceError {
  constructor(expected: string, got: string) {
    super("INVALID_ARGUMENT", Reason.URL_INVALID, `A model store's URL: expected ${expected}, got ${got}.`, {
      violations: [{ field: "modelStoreUrl", expected, got }],
    });
  }
}
