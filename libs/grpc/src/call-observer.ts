import type { CallContext } from "./call-context.ts";
import type { StatusName } from "./status-code.ts";

/** The four shapes of a call, as go-grpc-prometheus names them. */
export type CallType = "unary" | "client_stream" | "server_stream" | "bidi_stream";

/** A method as metrics and traces name it. */
export interface ObservedMethod {
  readonly service: string;
  readonly name: string;
  readonly type: CallType;
}

/** Told of each call's beginning and end: the hook for metrics and traces. It must be cheap and must not throw. */
export interface CallObserver {
  started(method: ObservedMethod, call: CallContext): void;
  /** @param seconds from the first byte seen by the server to the status. */
  handled(method: ObservedMethod, call: CallContext, code: StatusName | "OK", seconds: number): void;
}

/** An error that the caller does not see whole: a defect, or a cause underneath. Reported once for each failed call. */
export interface CallFailure {
  readonly error: unknown;
  readonly method: string;
  readonly traceId: string;
  readonly code: StatusName;
}
