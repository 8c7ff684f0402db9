import { MillraceError, Reason } from "@millrace/errors";

/** Thrown when Predict names a model whose package reads no features, or where there is nobody to read them from. */
export class NoFeaturesError extends MillraceError {
  constructor(model: string, why: string) {
    super(
      "FAILED_PRECONDITION",
      Reason.FEATURES_UNAVAILABLE,
      `The model ${model} cannot be predicted by entity: ${why}`,
      {
        resource: { kind: "model", name: model },
      },
    );
  }
}

/** Thrown when feature-serving does not answer in its share of the deadline, or has not answered for a while. */
export class FeaturesUnavailableError extends MillraceError {
  constructor(message: string, retryAfterMs: number, cause: unknown) {
    super("UNAVAILABLE", Reason.FEATURES_UNAVAILABLE, message, { retryAfterMs, cause });
  }
}

/** Thrown when a column, an id or a time of a request does not fit the others. */
export class PredictRequestInvalidError extends MillraceError {
  constructor(field: string, expected: string, got: string, more: { readonly cause?: unknown } = {}) {
    super("INVALID_ARGUMENT", Reason.COLUMN_INVALID, `${field}: expected ${expected}, got ${got}.`, {
      ...more,
      violations: [{ field, expected, got }],
    });
  }
}

/** Thrown where the deployment refuses rows without a feature, and where null cannot go into the graph. */
export class FeatureMissingError extends MillraceError {
  constructor(feature: string, row: number, got: string) {
    const field = `${feature}[${row}]`;
    super("FAILED_PRECONDITION", Reason.FEATURES_UNAVAILABLE, `${field}: expected a value, got ${got}.`, {
      violations: [{ field, expected: "a value", got }],
    });
  }
}
