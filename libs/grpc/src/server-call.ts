import { Metadata, type ServerUnaryCall } from "@grpc/grpc-js";
import { MillraceError } from "@millrace/errors";
import { bindDeadline, type CallContext, type Cancellation } from "./call-context.ts";
import { CallCancelledError, DeadlineExceededError } from "./call-errors.ts";
import type { CallFailure, CallObserver, ObservedMethod } from "./call-observer.ts";
import { RpcError } from "./rpc-error.ts";
import { type StatusName, statusName } from "./status-code.ts";
import { type GrpcStatus, statusFromError } from "./status-from-error.ts";
import { continueTrace, type TraceContext } from "./trace-context.ts";

/** What is known of a call on its transport, in every shape: grpc-js's own calls have it. */
export interface SurfaceCall
  extends Pick<ServerUnaryCall<Buffer, Buffer>, "metadata" | "getPeer" | "getDeadline" | "getAuthContext"> {
  /** Told once where the call ends before its answer; grpc-js tells it after each answer too. */
  once(event: "cancelled", listener: () => void): unknown;
}

/** What all calls of a server share. */
export interface ServerEnvironment {
  readonly observer: CallObserver | undefined;
  readonly onFailure: ((failure: CallFailure) => void) | undefined;
  /** Names the caller. @throws UnauthenticatedError. */
  authenticate(method: ObservedMethod, call: SurfaceCall): string | undefined;
  /** Decides whether a trace that begins here is recorded. */
  readonly sampleTrace: ((traceId: string) => boolean) | undefined;
  readonly draining: AbortSignal;
  /** The streams that are open, to be ended when the server drains. */
  readonly streams: Set<OpenStream>;
}

/** A stream as the drain sees it. */
export interface OpenStream {
  /** Ends after the current answer. */
  finishSoon(): void;
  /** Ends at once. */
  stop(): void;
}

/**
 * One call from its first byte to its status: the context that a handler sees, and the bookkeeping around it. What a
 * call does not use (signal, peer, trailer) is never made.
 */
export class ServerCall implements CallContext, Cancellation {
  readonly #call: SurfaceCall;
  readonly #environment: ServerEnvironment;
  readonly #startedAt = performance.now();
  readonly #observed: ObservedMethod;
  #trace: TraceContext | undefined;
  #controller: AbortController | undefined;
  #abortReason: MillraceError | undefined;
  #trailer: Metadata | undefined;
  #finished = false;
  #onAbort: (() => void) | undefined;
  #moreOnAbort: (() => void)[] | undefined;
  principal: string | undefined;
  readonly method: string;
  /** Called once when the call ends before its handler did. */
  onInterrupt: (() => void) | undefined;

  constructor(method: ObservedMethod, call: SurfaceCall, environment: ServerEnvironment) {
    this.#observed = method;
    this.#call = call;
    this.#environment = environment;
    this.method = `${method.service}/${method.name}`;
    environment.observer?.started(method, this);
    // grpc-js also emits this after each answered call.
    call.once("cancelled", () => this.#cancelled());
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      const { deadlineMs } = this;
      if (deadlineMs !== undefined) {
        bindDeadline(this.#controller.signal, deadlineMs);
      }
      if (this.#abortReason !== undefined) {
        this.#controller.abort(this.#abortReason);
      }
    }
    return this.#controller.signal;
  }

  get cancellation(): Cancellation {
    return this;
  }

  get aborted(): boolean {
    return this.#abortReason !== undefined;
  }

  addEventListener(_type: "abort", listener: () => void): void {
    if (this.#onAbort === undefined) this.#onAbort = listener;
    else if (this.#moreOnAbort === undefined) this.#moreOnAbort = [listener];
    else this.#moreOnAbort.push(listener);
  }

  removeEventListener(_type: "abort", listener: () => void): void {
    if (this.#onAbort === listener) this.#onAbort = undefined;
    else this.#moreOnAbort = this.#moreOnAbort?.filter((other) => other !== listener);
  }

  get draining(): AbortSignal {
    return this.#environment.draining;
  }

  get deadlineMs(): number | undefined {
    const deadline = Number(this.#call.getDeadline());
    return Number.isFinite(deadline) ? deadline : undefined;
  }

  get metadata(): Metadata {
    return this.#call.metadata;
  }

  get peer(): string {
    return this.#call.getPeer();
  }

  get trace(): TraceContext {
    if (this.#trace === undefined) {
      const header = this.#call.metadata.get("traceparent")[0];
      const trace = continueTrace(typeof header === "string" ? header : undefined);
      const { sampleTrace } = this.#environment;
      const begins = trace.sampled === undefined && sampleTrace !== undefined;
      this.#trace = begins ? { ...trace, sampled: sampleTrace(trace.traceId) } : trace;
    }
    return this.#trace;
  }

  get traceId(): string {
    return this.trace.traceId;
  }

  setTrailer(name: string, value: string): void {
    this.#trailer ??= new Metadata();
    this.#trailer.set(name, value);
  }

  get trailer(): Metadata | undefined {
    return this.#trailer;
  }

  get finished(): boolean {
    return this.#finished;
  }

  authenticate(): void {
    this.principal = this.#environment.authenticate(this.#observed, this.#call);
  }

  /** Aborts the signal and interrupts the handler. */
  interrupt(reason: MillraceError): void {
    if (this.#finished || this.#abortReason !== undefined) {
      return;
    }
    this.#abortReason = reason;
    this.#controller?.abort(reason);
    const listeners = [this.#onAbort, ...(this.#moreOnAbort ?? [])];
    this.#onAbort = undefined;
    this.#moreOnAbort = undefined;
    for (const listener of listeners) listener?.();
    this.onInterrupt?.();
  }

  get interruption(): MillraceError | undefined {
    return this.#abortReason;
  }

  /** Records the end of the call; only the first end counts. */
  finish(code: StatusName | "OK"): void {
    if (this.#finished) {
      return;
    }
    this.#finished = true;
    const seconds = (performance.now() - this.#startedAt) / 1000;
    this.#environment.observer?.handled(this.#observed, this, code, seconds);
  }

  /** The status for an error of the handler. What a caller does not see of it is reported once. */
  fail(thrown: unknown): GrpcStatus {
    // What breaks because the call was interrupted is told in the interruption's words.
    const interrupted = this.#abortReason !== undefined && isConsequence(thrown);
    const error = interrupted ? this.#abortReason : thrown;
    const status = statusFromError(error, this.traceId);
    const code = statusName(status.code);
    const hidden = !(error instanceof MillraceError) || error.details.cause !== undefined || code === "INTERNAL";
    // Of a call that is over, only a defect is news: its other errors follow from the end.
    if (hidden && (!this.#finished || !(error instanceof MillraceError))) {
      this.#environment.onFailure?.({ error, method: this.method, traceId: this.traceId, code });
    }
    this.finish(code);
    if (this.#trailer !== undefined) {
      status.metadata.merge(this.#trailer);
    }
    return status;
  }

  #cancelled(): void {
    if (this.#finished) {
      return;
    }
    const { deadlineMs } = this;
    const late = deadlineMs !== undefined && Date.now() >= deadlineMs;
    this.interrupt(late ? new DeadlineExceededError() : new CallCancelledError());
    this.finish(late ? "DEADLINE_EXCEEDED" : "CANCELLED");
  }
}

const isConsequence = (error: unknown): boolean =>
  (error instanceof Error && (error.name === "AbortError" || error.name === "TimeoutError")) ||
  (error instanceof RpcError && (error.code === "CANCELLED" || error.code === "DEADLINE_EXCEEDED"));
