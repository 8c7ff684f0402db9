import { type FieldViolation, MillraceError, Reason } from "@millrace/errors";

/** Thrown where the models of a pipeline are there, and do not fit together as it was declared. Names every field. */
export class PipelineUnfitError extends MillraceError {
  constructor(violations: readonly FieldViolation[]) {
    const sentences = violations.map(({ field, expected, got }) => `${field}: expected ${expected}, got ${got}.`);
    super("FAILED_PRECONDITION", Reason.DECLARATION_INVALID, sentences.join(" "), { violations });
  }
}

/** Thrown where a step of a pipeline fails. It has the code and the reason of what failed, and names pipeline and step. */
export class PipelineStepError extends MillraceError {
  constructor(pipeline: string, step: string, model: string, cause: MillraceError) {
    const { metadata, ...details } = cause.details;
    super(cause.code, cause.reason, `The step ${step} (${model}) of the pipeline ${pipeline}: ${cause.message}`, {
      ...details,
      metadata: { ...metadata, pipeline, step, step_model: model },
      cause,
    });
  }
}

/** Thrown where a pipeline cannot be bound, or run, because the model of a step is not there. */
export class StepNotReadyError extends MillraceError {
  readonly model: string;

  constructor(step: string, model: string, cause: MillraceError) {
    super("UNAVAILABLE", Reason.MODEL_NOT_READY, `The step ${step}: ${cause.message}`, {
      metadata: { step, step_model: model },
      retryAfterMs: 1000,
      cause,
    });
    this.model = model;
  }
}
