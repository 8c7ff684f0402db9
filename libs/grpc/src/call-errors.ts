import { MillraceError, type MillraceErrorDetails, Reason } from "@millrace/errors";

/** The caller gave up before the answer. It is the reason of the call's aborted signal. */
export class CallCancelledError extends MillraceError {
  constructor() {
    super("CANCELLED", Reason.CANCELLED, "The caller cancelled the call.");
  }
}

/** The deadline passed before the answer. It is the reason of the call's aborted signal. */
export class DeadlineExceededError extends MillraceError {
  constructor() {
    super("DEADLINE_EXCEEDED", Reason.DEADLINE_EXCEEDED, "The deadline of the call passed before it was answered.");
  }
}

/** The service is stopping: a stream ends here, and the caller continues on another replica. */
export class StoppingError extends MillraceError {
  constructor() {
    super("UNAVAILABLE", Reason.STOPPING, "The service is stopping. Open the stream again.", { retryAfterMs: 1000 });
  }
}

/** The method is in the contract, and this service does not have it. */
export class MethodUnimplementedError extends MillraceError {
  constructor(method: string) {
    super("UNIMPLEMENTED", Reason.UNIMPLEMENTED, `${method} is part of the contract and is not built in this service.`);
  }
}

/** The request breaks rules of its contract: all of them are in the violations. */
export class RequestInvalidError extends MillraceError {
  constructor(message: string, details: MillraceErrorDetails) {
    super("INVALID_ARGUMENT", Reason.FIELD_INVALID, message, details);
  }
}

/** No valid bearer token, and no client certificate that would do instead. */
export class UnauthenticatedError extends MillraceError {
  constructor(message: string) {
    super("UNAUTHENTICATED", Reason.UNAUTHENTICATED, message);
  }
}

/** The server cannot listen where it was told to. */
export class CannotListenError extends MillraceError {
  constructor(message: string, cause?: unknown) {
    super("FAILED_PRECONDITION", Reason.SETTING_INVALID, message, cause === undefined ? {} : { cause });
  }
}
