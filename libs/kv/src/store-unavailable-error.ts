import { MillraceError, Reason } from "@millrace/errors";

/** Thrown when the key-value store does not answer, or answers that it cannot serve at the moment. Trying again makes sense. */
export class StoreUnavailableError extends MillraceError {
  /** @param store the store's URL without user, password or parameters. */
  constructor(store: string, why: string, cause?: unknown) {
    super("UNAVAILABLE", Reason.STORE_UNAVAILABLE, `The store ${store} is not available: ${why}.`, {
      resource: { kind: "store", name: store },
      retryAfterMs: 500,
      cause,
    });
  }
}
