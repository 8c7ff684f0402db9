import { MillraceError, Reason } from "@millrace/errors";

/** Thrown when a model fails while it runs. The runtime's own words are the cause: they are logged and go no further. */
export class ModelFailedError extends MillraceError {
  constructor(message: string, cause?: unknown) {
    super("INTERNAL", Reason.MODEL_FAILED, message, { cause });
  }
}
