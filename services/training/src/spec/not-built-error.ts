import { MillraceError, Reason } from "@millrace/errors";

/** Thrown by StartRun for a part of the contract that is not built yet. */
export class NotBuiltError extends MillraceError {
  constructor(field: string, what: string, instead: string) {
    super("UNIMPLEMENTED", Reason.UNIMPLEMENTED, `${what} is not built yet. ${instead}`, {
      violations: [{ field, expected: instead, got: what }],
      metadata: { field },
    });
  }
}
