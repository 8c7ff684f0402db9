import { MillraceError, Reason } from "@millrace/errors";

/** Thrown when a call names a model, or a version of it, that is not served. */
export class ModelUnknownError extends MillraceError {
  constructor(name: string, version: string, served: readonly string[]) {
    const what = version === "" ? `model ${name}` : `version ${version} of the model ${name}`;
    const known = served.length === 0 ? "No model is served." : `Served are ${served.join(", ")}.`;
    super("NOT_FOUND", Reason.MODEL_UNKNOWN, `There is no ${what}. ${known}`, {
      resource: { kind: "model", name: version === "" ? name : `${name}/${version}` },
    });
  }
}

/** Thrown when a model is loading, draining, failed its check, or has no instance that can run. */
export class ModelNotReadyError extends MillraceError {
  constructor(name: string, version: string, state: string, message: string) {
    super(
      "UNAVAILABLE",
      Reason.MODEL_NOT_READY,
      `${version === "" ? "The" : `Version ${version} of the`} model ${name} is ${state}.${message === "" ? "" : ` ${message}`}`,
      { metadata: { model: name, version, state }, retryAfterMs: 1000 },
    );
  }
}

/** Thrown when a model does not reproduce the golden examples of its package. It never serves. */
export class GoldenMismatchError extends MillraceError {
  constructor(example: number, output: string, expected: string, got: string) {
    super(
      "FAILED_PRECONDITION",
      Reason.GOLDEN_MISMATCH,
      `Golden example ${example}: ${output}: expected ${expected}, got ${got}.`,
      { violations: [{ field: `golden.examples[${example}].${output}`, expected, got }] },
    );
  }
}
