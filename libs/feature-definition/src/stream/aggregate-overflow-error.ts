import { MillraceError, Reason } from "@millrace/errors";

/** Thrown when a value does not fit its declared type, such as a SUM of INT64 beyond 64 bits. */
export class AggregateOverflowError extends MillraceError {
  constructor(view: string, feature: string) {
    super(
      "OUT_OF_RANGE",
      Reason.ENGINE_FAILED,
      `${view}.${feature}: the SUM is outside INT64. Sum a DOUBLE expression instead, for example CAST(… AS double precision).`,
      { resource: { kind: "feature", name: `${view}.${feature}` } },
    );
  }
}
