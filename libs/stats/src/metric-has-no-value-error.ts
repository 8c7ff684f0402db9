import { MillraceError, Reason } from "@millrace/errors";

/** Why a metric cannot be computed: a short phrase that reports and measures carry as it is. */
export type NoValueReason =
  | "no data"
  | "one class"
  | "no positives"
  | "no predicted positives"
  | "constant truth"
  | "not a binary label"
  | "not a probability"
  | "not finite";

/** Thrown when a metric is asked of rows for which it is not defined, such as ROC AUC of one class. */
export class MetricHasNoValueError extends MillraceError {
  readonly metric: string;
  readonly noValue: NoValueReason;

  constructor(metric: string, noValue: NoValueReason) {
    super(
      "FAILED_PRECONDITION",
      noValue === "no data" ? Reason.SAMPLE_EMPTY : Reason.DATASET_UNUSABLE,
      `${metric} has no value on these rows: ${noValue}.`,
      { metadata: { metric, noValue } },
    );
    this.metric = metric;
    this.noValue = noValue;
  }
}
