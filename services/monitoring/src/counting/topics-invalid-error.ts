import { MillraceError, Reason } from "@millrace/errors";

/** Thrown at start when predictions and labels cannot meet, since their topics differ in their partitions. */
export class TopicsInvalidError extends MillraceError {
  constructor(predictions: { name: string; partitions: number }, labels: { name: string; partitions: number }) {
    super(
      "FAILED_PRECONDITION",
      Reason.FIELD_INVALID,
      `The topics ${predictions.name} and ${labels.name} must have as many partitions, so that a label meets its prediction: they have ${predictions.partitions} and ${labels.partitions}.`,
    );
  }
}
