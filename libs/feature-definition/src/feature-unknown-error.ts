import { MillraceError, Reason } from "@millrace/errors";

/** Thrown when a request names a feature, or a view, that is not defined. */
export class FeatureUnknownError extends MillraceError {
  /** @param field the place in the request, such as `references.features[0]`. */
  constructor(field: string, name: string, known: readonly string[]) {
    const expected = known.length === 0 ? "a defined feature; none is" : `one of ${known.slice(0, 50).join(", ")}`;
    super("NOT_FOUND", Reason.FEATURE_UNKNOWN, `There is no feature ${JSON.stringify(name)}.`, {
      violations: [{ field, expected, got: name }],
      resource: { kind: "feature", name },
    });
  }
}
