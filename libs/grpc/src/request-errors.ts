import { MillraceError, Reason } from "@millrace/errors";
import { RequestInvalidError } from "./call-errors.ts";

/** Thrown to a caller whose message is larger than the server takes. */
export class RequestTooLargeError extends MillraceError {
  constructor(bytes: number, maxBytes: number) {
    super("RESOURCE_EXHAUSTED", Reason.TOO_LARGE, `A request may have ${maxBytes} bytes here; this one has ${bytes}.`, {
      metadata: { maxMessageBytes: String(maxBytes) },
    });
  }
}

/** Thrown to a caller whose bytes are no gRPC message. */
export class RequestBrokenError extends RequestInvalidError {
  constructor(expected: string, got: string) {
    super("The request is no gRPC message.", { violations: [{ field: "", expected, got }] });
  }
}
