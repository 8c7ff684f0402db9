import { MillraceError, Reason } from "@millrace/errors";

/** Thrown when the dataset cannot be learned from: an empty split, a label of one class, null labels. Names the field. */
export class DatasetUnusableError extends MillraceError {
  constructor(field: string, expected: string, got: string) {
    super("FAILED_PRECONDITION", Reason.DATASET_UNUSABLE, `${field}: expected ${expected}, got ${got}.`, {
      violations: [{ field, expected, got }],
    });
  }
}
