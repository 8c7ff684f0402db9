import { MillraceError, Reason } from "@millrace/errors";

/** Thrown when a request names a feature service that is not defined. */
export class FeatureServiceUnknownError extends MillraceError {
  constructor(name: string, known: readonly string[]) {
    const expected =
      known.length === 0 ? "a defined feature service; none is" : `one of ${known.slice(0, 50).join(", ")}`;
    super("NOT_FOUND", Reason.FEATURE_SERVICE_UNKNOWN, `There is no feature service ${JSON.stringify(name)}.`, {
      violations: [{ field: "feature_service", expected, got: name }],
      resource: { kind: "feature service", name },
    });
  }
}
