import { type FieldViolation, MillraceError, Reason } from "@millrace/errors";

/** Thrown when a model's configuration asks for what is not served, or contradicts itself or its graph. It names each field. */
export class ModelConfigInvalidError extends MillraceError {
  constructor(model: string, violations: readonly FieldViolation[]) {
    const lines = violations.map(({ field, expected, got }) => `${field}: expected ${expected}, got ${got}`);
    super(
      "FAILED_PRECONDITION",
      Reason.MODEL_INVALID,
      `The configuration of the model ${model} cannot be served. ${lines.join("; ")}.`,
      { violations, metadata: { model } },
    );
  }
}
