import { MillraceError, type MillraceErrorDetails, Reason } from "@millrace/errors";

/** Thrown by readModel and describeModel for bytes that are no ONNX model, or one that millrace cannot serve. */
export class ModelInvalidError extends MillraceError {
  constructor(message: string, details: MillraceErrorDetails = {}) {
    super("INVALID_ARGUMENT", Reason.MODEL_INVALID, message, details);
  }
}
