import { type FieldViolation, MillraceError, Reason } from "@millrace/errors";

/**
 * Thrown when feature-serving does not have the features that a package reads, or has them with other types. Each
 * violation names one feature.
 */
export class SchemaMismatchError extends MillraceError {
  constructor(featureService: string, violations: readonly FieldViolation[]) {
    const list = violations.map(({ field, expected, got }) => `${field}: expected ${expected}, got ${got}`).join("; ");
    super(
      "FAILED_PRECONDITION",
      Reason.SCHEMA_MISMATCH,
      `The package does not fit the feature service ${featureService}: ${list}.`,
      {
        violations,
        resource: { kind: "feature service", name: featureService },
        metadata: { feature_service: featureService, features: violations.map(({ field }) => field).join(",") },
      },
    );
  }
}
