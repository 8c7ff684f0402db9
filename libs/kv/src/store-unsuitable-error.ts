import { MillraceError, Reason } from "@millrace/errors";

/** Thrown when a store may drop entries that nobody has deleted. Only whoever runs the store can mend that. */
export class StoreUnsuitableError extends MillraceError {
  /** @param store the store's URL without user, password or parameters. */
  constructor(store: string, why: string) {
    super("FAILED_PRECONDITION", Reason.STORE_UNSUITABLE, `The store ${store} is not suitable: ${why}.`, {
      resource: { kind: "store", name: store },
    });
  }
}
