import { MillraceError, Reason } from "@millrace/errors";

/** Thrown when the URL of an event log names no adapter or is malformed. The URL is not repeated: it may hold a password. */
export class LogUrlInvalidError extends MillraceError {
  constructor(expected: string, got: string) {
    super(
      "INVALID_ARGUMENT",
      Reason.URL_INVALID,
      `The URL of the event log cannot be used: expected ${expected}, got ${got}.`,
      {
        violations: [{ field: "eventLogUrl", expected, got }],
      },
    );
  }
}
