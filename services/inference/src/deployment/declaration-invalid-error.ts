import { type FieldViolation, MillraceError, Reason } from "@millrace/errors";

/** Thrown when a declaration of deployments is malformed, or asks for what this service does not do. Names every field. */
export class DeclarationInvalidError extends MillraceError {
  constructor(violations: readonly FieldViolation[], cause?: unknown) {
    const sentences = violations.map(({ field, expected, got }) => `${field}: expected ${expected}, got ${got}.`);
    super("INVALID_ARGUMENT", Reason.DECLARATION_INVALID, sentences.join(" "), { violations, cause });
  }
}
