import { MillraceError, Reason } from "@millrace/errors";

/** Thrown when a part of a package is larger than its limit, before it is read or sent. */
export class PackageTooLargeError extends MillraceError {
  constructor(what: string, sizeBytes: number, limitBytes: number) {
    super("RESOURCE_EXHAUSTED", Reason.TOO_LARGE, `${what} has ${sizeBytes} bytes; the limit is ${limitBytes} bytes.`);
  }
}
