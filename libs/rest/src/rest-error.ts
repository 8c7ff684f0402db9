import { MillraceError, type MillraceErrorCode, Reason } from "@millrace/errors";
import { statusFromError } from "@millrace/grpc";
import type { RestAnswer } from "./rest-answer.ts";
import { type WritableJson, writeJson } from "./write-json.ts";

/** Thrown where no path, or no method of it, is what was asked for. */
export class PathUnknownError extends MillraceError {
  /** The methods that the path has; empty where there is no such path. */
  readonly allowed: readonly string[];

  constructor(method: string, path: string, allowed: readonly string[]) {
    super(
      "NOT_FOUND",
      Reason.UNIMPLEMENTED,
      allowed.length === 0
        ? `There is nothing at ${path}.`
        : `${path} answers ${allowed.join(", ")}, and not ${method}.`,
      { resource: { kind: "path", name: path } },
    );
    this.allowed = allowed;
  }
}

/** Thrown when a body is larger than the service takes, as it comes or after it was inflated. */
export class BodyTooLargeError extends MillraceError {
  constructor(maxBytes: number, got: string) {
    super("RESOURCE_EXHAUSTED", Reason.TOO_LARGE, `A body may have ${maxBytes} bytes; this one has ${got}.`, {
      metadata: { maxReceiveBytes: String(maxBytes) },
    });
  }
}

/** Answers an error: a status, and a body of one sentence or more. */
export const errorAnswer = (
  error: unknown,
  traceId: string,
  body: (message: string) => WritableJson = (message) => ({ error: message }),
): RestAnswer => {
  const { details: message } = statusFromError(error, traceId);
  const headers: Record<string, string> = {};
  let status = 500;
  if (error instanceof MillraceError) {
    status = statusOf(error);
    if (status === 405 && error instanceof PathUnknownError) headers.allow = error.allowed.join(", ");
    if (status === 401) headers["www-authenticate"] = "Bearer";
    const { retryAfterMs } = error.details;
    if (retryAfterMs !== undefined) headers["retry-after"] = String(Math.max(1, Math.ceil(retryAfterMs / 1000)));
  }
  return { status, type: "application/json", headers, body: writeJson(body(message)) };
};

const statusOf = (error: MillraceError): number => {
  if (error instanceof PathUnknownError && error.allowed.length > 0) return 405;
  // Too large is the caller's to mend; a full queue passes, and Triton calls it unavailable.
  if (error.reason === Reason.TOO_LARGE) return 413;
  return statuses[error.code];
};

const statuses: Readonly<Record<MillraceErrorCode, number>> = {
  CANCELLED: 400,
  INVALID_ARGUMENT: 400,
  DEADLINE_EXCEEDED: 504,
  NOT_FOUND: 404,
  ALREADY_EXISTS: 400,
  PERMISSION_DENIED: 403,
  RESOURCE_EXHAUSTED: 503,
  FAILED_PRECONDITION: 400,
  ABORTED: 400,
  OUT_OF_RANGE: 400,
  UNIMPLEMENTED: 501,
  INTERNAL: 500,
  UNAVAILABLE: 503,
  DATA_LOSS: 500,
  UNAUTHENTICATED: 401,
};
