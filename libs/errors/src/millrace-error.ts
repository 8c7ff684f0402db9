import type { Reason } from "@millrace/contracts/millrace/error/v1/reason";
import { reasonName } from "./reason-name.ts";

/** The gRPC status names that a domain error may ask for. Only `@millrace/grpc` turns them into numbers. */
export type MillraceErrorCode =
  | "CANCELLED"
  | "INVALID_ARGUMENT"
  | "DEADLINE_EXCEEDED"
  | "NOT_FOUND"
  | "ALREADY_EXISTS"
  | "PERMISSION_DENIED"
  | "RESOURCE_EXHAUSTED"
  | "FAILED_PRECONDITION"
  | "ABORTED"
  | "OUT_OF_RANGE"
  | "UNIMPLEMENTED"
  | "INTERNAL"
  | "UNAVAILABLE"
  | "DATA_LOSS"
  | "UNAUTHENTICATED";

/** One field that breaks a rule: where it is, what was expected, what came. */
export interface FieldViolation {
  /** Path in the request or file, for example `entities[0].values`. */
  readonly field: string;
  readonly expected: string;
  readonly got: string;
}

export interface MillraceErrorDetails {
  /** Further fields that break a rule, or the only ones. Sent as google.rpc.BadRequest. */
  readonly violations?: readonly FieldViolation[];
  /** Short facts a program may read, sent as `ErrorInfo.metadata`. Never secrets, never a driver's text. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** When trying again makes sense, in milliseconds. Sent as google.rpc.RetryInfo. */
  readonly retryAfterMs?: number;
  /** What could not be found or does not fit: kind and name. Sent as google.rpc.ResourceInfo. */
  readonly resource?: { readonly kind: string; readonly name: string };
  /** What lies underneath. Logged once, by the host; it never leaves the service. */
  readonly cause?: unknown;
}

/**
 * The base of every error that a caller may see. A subclass says who throws it and when, in the words of its domain; it
 * carries a stable reason and knows nothing of gRPC.
 */
export class MillraceError extends Error {
  readonly code: MillraceErrorCode;
  readonly reason: Reason;
  readonly details: MillraceErrorDetails;

  /** @param message one or more complete sentences for a person: what is wrong, what was expected, what came. */
  constructor(code: MillraceErrorCode, reason: Reason, message: string, details: MillraceErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = new.target.name;
    this.code = code;
    this.reason = reason;
    this.details = details;
  }

  /** The stable word of the reason, such as `FEATURE_UNKNOWN`. */
  get reasonName(): string {
    return reasonName(this.reason);
  }
}
