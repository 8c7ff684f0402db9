import { AsyncLocalStorage } from "node:async_hooks";
import type { Metadata } from "@grpc/grpc-js";
import type { TraceContext } from "./trace-context.ts";

/** Tells when the caller waits no longer. An AbortSignal is one; that of a call costs less than its signal. */
export interface Cancellation {
  readonly aborted: boolean;
  addEventListener(type: "abort", listener: () => void, options?: { readonly once?: boolean }): void;
  removeEventListener(type: "abort", listener: () => void): void;
}

/**
 * What a handler knows of the call that it answers.
 *
 * Handing `call.signal` on to a client call (`client.getRun(request, { signal: call.signal })`) hands on the
 * cancellation and the deadline. The trace is handed on without being named.
 */
export interface CallContext {
  /** The full name, such as `millrace.feature.v1.FeatureService/GetFeatures`. */
  readonly method: string;
  /** Aborted when the caller cancels, when the deadline passes, and when the server ends the stream to stop. */
  readonly signal: AbortSignal;
  /** The same news as the signal's, for those who need no AbortSignal. A listener is called once. */
  readonly cancellation: Cancellation;
  /** Aborted when the server begins to stop. An endless stream returns then; else it is ended after its current answer. */
  readonly draining: AbortSignal;
  /** Epoch milliseconds; undefined where the caller set none. */
  readonly deadlineMs: number | undefined;
  readonly metadata: Metadata;
  /** Address and port of the caller. */
  readonly peer: string;
  readonly trace: TraceContext;
  readonly traceId: string | undefined;
  /** Name of the caller: from its token, or the common name of its certificate. Undefined where callers are not told apart. */
  readonly principal: string | undefined;
  /** Sends a header after the answer. */
  setTrailer(name: string, value: string): void;
}

const storage = new AsyncLocalStorage<CallContext>();

/** The call that the running code answers, if any: for log lines and for the trace of outgoing calls. */
export const currentCall = (): CallContext | undefined => storage.getStore();

/** Runs `body` as part of `call`. */
export const runInCall = <A extends unknown[], T>(call: CallContext, body: (...args: A) => T, ...args: A): T =>
  storage.run(call, body, ...args);

const deadlines = new WeakMap<AbortSignal, number>();

/** Remembers that whatever is aborted by `signal` has to be done at `deadlineMs`. */
export const bindDeadline = (signal: AbortSignal, deadlineMs: number): void => {
  deadlines.set(signal, deadlineMs);
};

/** The deadline in epoch milliseconds that came with a call's signal. */
export const deadlineOf = (signal: AbortSignal): number | undefined => deadlines.get(signal);
