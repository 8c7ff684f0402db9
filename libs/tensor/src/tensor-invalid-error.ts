import { type FieldViolation, MillraceError, Reason } from "@millrace/errors";

/** Thrown when a tensor's name, datatype, shape or bytes do not fit what is asked for. Names the tensor. */
export class TensorInvalidError extends MillraceError {
  constructor(violation: FieldViolation, ...more: readonly FieldViolation[]) {
    const violations = [violation, ...more];
    const sentences = violations.map(({ field, expected, got }) => `${field}: expected ${expected}, got ${got}.`);
    super("INVALID_ARGUMENT", Reason.TENSOR_INVALID, sentences.join(" "), { violations });
  }
}
