import type { IncomingMessage } from "node:http";
import { CallCancelledError, type CallContext, continueTrace, Metadata, type TraceContext } from "@millrace/grpc";

/** One request in the REST form, as handlers of gRPC see a call. It has no deadline: HTTP carries none. */
export class RestCall implements CallContext {
  readonly #request: IncomingMessage;
  readonly #sampleTrace: ((traceId: string) => boolean) | undefined;
  readonly #controller = new AbortController();
  #trace: TraceContext | undefined;
  #metadata: Metadata | undefined;
  readonly method: string;
  readonly draining: AbortSignal;
  readonly deadlineMs = undefined;
  principal: string | undefined;

  /** @param sampleTrace decides whether a trace that begins here is recorded; none is, unless given. */
  constructor(
    request: IncomingMessage,
    path: string,
    draining: AbortSignal,
    sampleTrace?: (traceId: string) => boolean,
  ) {
    this.#request = request;
    this.#sampleTrace = sampleTrace;
    this.method = `${request.method} ${path}`;
    this.draining = draining;
  }

  get cancellation(): AbortSignal {
    return this.signal;
  }
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  get trace(): TraceContext {
    if (this.#trace === undefined) {
      const trace = continueTrace(this.header("traceparent"));
      const sampled = trace.sampled ?? this.#sampleTrace?.(trace.traceId);
      this.#trace = { ...trace, sampled };
    }
    return this.#trace;
  }

  get traceId(): string {
    return this.trace.traceId;
  }

  get peer(): string {
    const { remoteAddress, remotePort } = this.#request.socket;
    return `${remoteAddress}:${remotePort}`;
  }

  get metadata(): Metadata {
    if (this.#metadata === undefined) {
      this.#metadata = new Metadata();
      for (const [name, value] of Object.entries(this.#request.headers)) {
        // gRPC takes fewer characters, and has bytes under names that end in -bin.
        const fits = typeof value === "string" && /^[0-9a-z_.-]+(?<!-bin)$/.test(name) && /^[ -~]*$/.test(value);
        if (fits) this.#metadata.set(name, value);
      }
    }
    return this.#metadata;
  }

  /** A header, by its name in any case; undefined where it came twice. */
  header(name: string): string | undefined {
    const value = this.#request.headers[name.toLowerCase()];
    return typeof value === "string" ? value : undefined;
  }

  /** HTTP/1.1 clients read no trailers. */
  setTrailer(): void {}

  /** The caller went away. */
  cancel(): void {
    this.#controller.abort(new CallCancelledError());
  }
}
