import { MillraceError, Reason } from "@millrace/errors";

/** Thrown where a request asks for a part of the contract that is not built: it is refused, and not passed over. */
export class NotBuiltError extends MillraceError {
  constructor(field: string, expected: string, got: string) {
    super("UNIMPLEMENTED", Reason.UNIMPLEMENTED, `${field}: expected ${expected}, got ${got}.`, {
      violations: [{ field, expected, got }],
    });
  }
}
