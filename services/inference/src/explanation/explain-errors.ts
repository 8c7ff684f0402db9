import { MillraceError, Reason } from "@millrace/errors";

/** Thrown when a request to explain asks for what cannot be explained, or for too much of it. Names the field. */
export class ExplainRequestInvalidError extends MillraceError {
  constructor(field: string, expected: string, got: string) {
    super("INVALID_ARGUMENT", Reason.FIELD_INVALID, `${field}: expected ${expected}, got ${got}.`, {
      violations: [{ field, expected, got }],
    });
  }
}

/** Thrown where a request gives no background, and the model's package has none that fits. */
export class NoBackgroundError extends MillraceError {
  constructor(model: string, why: string) {
    super(
      "FAILED_PRECONDITION",
      Reason.FIELD_INVALID,
      `There is no background for the model ${model}: ${why} Give rows in \`background\`.`,
      {
        violations: [{ field: "background", expected: "rows that are normal for the model", got: "none" }],
        resource: { kind: "model", name: model },
      },
    );
  }
}

/** Thrown where the caller gave up between two rows. */
export class ExplanationCancelledError extends MillraceError {
  constructor() {
    super("CANCELLED", Reason.CANCELLED, "The caller gave up while rows were explained.");
  }
}
