import type { IncomingHttpHeaders, OutgoingHttpHeaders, ServerHttp2Stream } from "node:http2";
import { TLSSocket } from "node:tls";
import { Metadata } from "@grpc/grpc-js";
import { RequestInvalidError } from "./call-errors.ts";
import type { SurfaceCall } from "./server-call.ts";
import type { GrpcStatus } from "./status-from-error.ts";

/** The longest that a timer takes, in ms: with more it goes off at once. */
const longestTimerMs = 2 ** 31 - 1;

const timeoutUnitMs: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 1e-3, n: 1e-6 };

/** Headers that are between the two ends of the transport, and none of the application's. */
const transportHeaders = [
  "grpc-timeout",
  "grpc-encoding",
  "grpc-accept-encoding",
  "accept-encoding",
  "te",
  "content-type",
];

/** The headers of an answer. */
export const answerHeaders: OutgoingHttpHeaders = {
  ":status": 200,
  "content-type": "application/grpc+proto",
  "grpc-accept-encoding": "identity,deflate,gzip",
};

/** How an answer's headers are sent where messages follow. */
export const answerOptions = { waitForTrailers: true, sendDate: false };

// A stream that fails is closed after it: that is when its call is told.
const ignoreError = () => {};

/** What is known of a call on its HTTP/2 stream. What a call does not use (metadata, timer) is never made. */
export abstract class StreamCall implements SurfaceCall {
  protected readonly stream: ServerHttp2Stream;
  readonly #headers: IncomingHttpHeaders;
  #metadata: Metadata | undefined;
  #deadlineMs = Infinity;
  #timer: NodeJS.Timeout | undefined;
  #onCancelled: (() => void) | undefined;
  #over = false;

  constructor(stream: ServerHttp2Stream, headers: IncomingHttpHeaders) {
    this.stream = stream;
    this.#headers = headers;
    stream.on("error", ignoreError);
    stream.on("close", () => {
      if (this.end()) this.cancelled();
    });
  }

  get metadata(): Metadata {
    if (this.#metadata === undefined) {
      this.#metadata = Metadata.fromHttp2Headers(this.#headers);
      for (const name of transportHeaders) this.#metadata.remove(name);
    }
    return this.#metadata;
  }

  getPeer(): string {
    const { remoteAddress, remotePort } = this.stream.session?.socket ?? {};
    return remoteAddress === undefined ? "unknown" : `${remoteAddress}:${remotePort}`;
  }

  getDeadline(): number {
    return this.#deadlineMs;
  }

  getAuthContext(): ReturnType<SurfaceCall["getAuthContext"]> {
    const socket = this.stream.session?.socket;
    if (!(socket instanceof TLSSocket) || !socket.authorized) return {};
    const certificate = socket.getPeerCertificate();
    return { transportSecurityType: "ssl", ...(certificate.raw && { sslPeerCertificate: certificate }) };
  }

  once(_event: "cancelled", listener: () => void): this {
    this.#onCancelled = listener;
    return this;
  }

  /** Whether nothing may be sent any more: it was ended, or its stream is gone. */
  protected get isOver(): boolean {
    return this.#over || this.stream.destroyed || this.stream.closed;
  }

  /** From here on nothing of the call counts. @returns whether it went on until now. */
  protected end(): boolean {
    if (this.#over) return false;
    this.#over = true;
    clearTimeout(this.#timer);
    return true;
  }

  /** Called when the call is over before it was answered. */
  protected cancelled(): void {
    this.#onCancelled?.();
  }

  /** Called when the deadline passes. */
  protected abstract expired(): void;

  /** Begins the time of the caller's deadline, where there is one. @throws RequestInvalidError */
  protected keepDeadline(): void {
    const timeout = this.#headers["grpc-timeout"];
    if (timeout === undefined) return;
    const [, digits, unit = ""] = /^(\d{1,8})\s*([HMSmun])$/.exec(String(timeout)) ?? [];
    const unitMs = timeoutUnitMs[unit];
    if (digits === undefined || unitMs === undefined) {
      const expected = "up to eight digits and one of H, M, S, m, u, n";
      throw new RequestInvalidError("The header grpc-timeout is malformed.", {
        violations: [{ field: "grpc-timeout", expected, got: String(timeout) }],
      });
    }
    const timeoutMs = Math.trunc(Number(digits) * unitMs);
    this.#deadlineMs = Date.now() + timeoutMs;
    if (timeoutMs === 0) this.expired();
    // A deadline beyond the longest timer, 24 days, is kept by the caller alone.
    else if (timeoutMs <= longestTimerMs) this.#timer = setTimeout(() => this.expired(), timeoutMs);
  }

  /** Ends a call that has sent nothing with a status alone. */
  protected respondWithStatus(status: GrpcStatus): void {
    if (this.isOver) return;
    this.end();
    this.stream.respond({ ...answerHeaders, ...trailersOf(status) }, { endStream: true });
  }
}

/** A status as trailers. */
export const trailersOf = ({ code, details, metadata }: GrpcStatus): OutgoingHttpHeaders => ({
  "grpc-status": String(code),
  // Lone surrogates have no bytes to be encoded.
  ...(details === "" ? {} : { "grpc-message": encodeURI(details.toWellFormed()) }),
  ...metadata.toHttp2Headers(),
});
