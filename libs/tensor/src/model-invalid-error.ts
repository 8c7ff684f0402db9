import { MillraceError, Reason } from "@millrace/errors";

/** Thrown when a model file cannot be loaded, or has an input or output that no tensor of ours can carry. */
export class ModelInvalidError extends MillraceError {
  constructor(message: string, cause?: unknown) {
    super("FAILED_PRECONDITION", Reason.MODEL_INVALID, message, { cause });
  }
}
