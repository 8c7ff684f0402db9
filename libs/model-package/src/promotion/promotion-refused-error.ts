import { MillraceError, Reason } from "@millrace/errors";

/** Thrown where a package may not be promoted: its gates were not passed, or the tag was moved by another meanwhile. */
export class PromotionRefusedError extends MillraceError {
  constructor(reference: string, tag: string, why: string, isConflict = false) {
    super(
      isConflict ? "ABORTED" : "FAILED_PRECONDITION",
      isConflict ? Reason.CONFLICT : Reason.PROMOTION_REFUSED,
      `${reference} is not promoted to ${tag}: ${why}.`,
      { resource: { kind: "model package", name: reference } },
    );
  }
}
