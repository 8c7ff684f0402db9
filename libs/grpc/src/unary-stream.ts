import type { IncomingHttpHeaders, OutgoingHttpHeaders, ServerHttp2Stream } from "node:http2";
import { TLSSocket } from "node:tls";
import { Metadata, type Server } from "@grpc/grpc-js";
import { MillraceError, Reason } from "@millrace/errors";
import { DeadlineExceededError, RequestInvalidError } from "./call-errors.ts";
import type { SurfaceCall } from "./server-call.ts";
import { type GrpcStatus, statusFromError } from "./status-from-error.ts";

/** A unary call whose request has come. */
export interface UnaryCall extends SurfaceCall {
  readonly request: Buffer;
}

/** Ends a unary call: with its status where there is an error, else with the bytes of the answer. */
export type UnaryRespond = (error: GrpcStatus | null, bytes?: Buffer, trailer?: Metadata) => void;

export type UnaryHandler = (call: UnaryCall, respond: UnaryRespond) => void;

type StreamHandler = (interceptors: unknown, stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void;

/**
 * Answers unary calls at their HTTP/2 streams, past the call objects, interceptors and decoders of grpc-js, which cost as
 * much again as HTTP/2 itself and leave garbage that stops the process for tens of milliseconds: see
 * docs/decisions/0011. Sessions, credentials, keepalive and drain stay grpc-js's; so do streaming calls and requests that
 * are compressed. On the wire it is the same: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md.
 *
 * grpc-js has no option for it: this takes the place of the method that its HTTP/2 servers are given. Call it before bind.
 * @param handlers by path: `/package.Service/Method`.
 * @throws Error where grpc-js no longer has that method.
 */
export const answerUnaryAtStreams = (
  server: Server,
  handlers: ReadonlyMap<string, UnaryHandler>,
  maxReceiveBytes: number,
): void => {
  const holder = server as unknown as { _streamHandler?: StreamHandler };
  const others = holder._streamHandler;
  if (typeof others !== "function") {
    throw new Error("This version of @grpc/grpc-js takes its streams elsewhere: unary calls cannot be answered there.");
  }
  holder._streamHandler = (interceptors, stream, headers) => {
    const handler = handlers.get(headers[":path"] ?? "");
    if (handler === undefined || !isPlain(headers)) {
      others.call(server, interceptors, stream, headers);
      return;
    }
    new UnaryStream(stream, headers, handler, maxReceiveBytes);
  };
};

/** Whether it is an uncompressed gRPC call; grpc-js answers what is not. */
const isPlain = (headers: IncomingHttpHeaders): boolean => {
  const encoding = headers["grpc-encoding"];
  return (
    (encoding === undefined || encoding === "identity") &&
    headers["content-type"]?.startsWith("application/grpc") === true
  );
};

/** One byte that says whether the message is compressed, and four of its length. */
const prefixBytes = 5;

/** An answer of up to so many bytes is copied behind its prefix, so that both leave in one frame. */
const copiedBytes = 64 * 1024;

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

const answerHeaders: OutgoingHttpHeaders = {
  ":status": 200,
  "content-type": "application/grpc+proto",
  "grpc-accept-encoding": "identity,deflate,gzip",
};
const answerOptions = { waitForTrailers: true, sendDate: false };
const okTrailers: OutgoingHttpHeaders = { "grpc-status": "0" };

// A stream that fails is closed after it: that is when its call is told.
const ignoreError = () => {};

/** A unary call on its HTTP/2 stream. What a call does not use (metadata, timer) is never made. */
class UnaryStream implements UnaryCall {
  readonly #stream: ServerHttp2Stream;
  readonly #headers: IncomingHttpHeaders;
  readonly #handler: UnaryHandler;
  readonly #maxReceiveBytes: number;
  #first: Buffer | undefined;
  #rest: Buffer[] | undefined;
  #received = 0;
  /** Bytes of the message with its prefix; undefined until the prefix has come. */
  #expected: number | undefined;
  #metadata: Metadata | undefined;
  #deadlineMs = Infinity;
  #timer: NodeJS.Timeout | undefined;
  #answered = false;
  #onCancelled: (() => void) | undefined;

  constructor(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, handler: UnaryHandler, maxReceiveBytes: number) {
    this.#stream = stream;
    this.#headers = headers;
    this.#handler = handler;
    this.#maxReceiveBytes = maxReceiveBytes;
    stream.on("error", ignoreError);
    stream.on("close", () => this.#closed());
    stream.on("data", (bytes: Buffer) => this.#take(bytes));
    stream.on("end", () => this.#begin());
    const timeout = headers["grpc-timeout"];
    if (timeout !== undefined) this.#expireAfter(String(timeout));
  }

  /** The message, without its prefix. */
  get request(): Buffer {
    const first = this.#first ?? Buffer.alloc(0);
    return (this.#rest === undefined ? first : Buffer.concat([first, ...this.#rest])).subarray(prefixBytes);
  }

  get metadata(): Metadata {
    if (this.#metadata === undefined) {
      this.#metadata = Metadata.fromHttp2Headers(this.#headers);
      for (const name of transportHeaders) this.#metadata.remove(name);
    }
    return this.#metadata;
  }

  getPeer(): string {
    const { remoteAddress, remotePort } = this.#stream.session?.socket ?? {};
    return remoteAddress === undefined ? "unknown" : `${remoteAddress}:${remotePort}`;
  }

  getDeadline(): number {
    return this.#deadlineMs;
  }

  getAuthContext(): ReturnType<SurfaceCall["getAuthContext"]> {
    const socket = this.#stream.session?.socket;
    if (!(socket instanceof TLSSocket) || !socket.authorized) return {};
    const certificate = socket.getPeerCertificate();
    return { transportSecurityType: "ssl", ...(certificate.raw && { sslPeerCertificate: certificate }) };
  }

  once(_event: "cancelled", listener: () => void): this {
    this.#onCancelled = listener;
    return this;
  }

  #take(bytes: Buffer): void {
    if (this.#answered) return;
    this.#received += bytes.length;
    if (this.#first === undefined) this.#first = bytes;
    else if (this.#rest === undefined) this.#rest = [bytes];
    else this.#rest.push(bytes);
    if (this.#expected === undefined && this.#received >= prefixBytes) this.#readPrefix();
    if (this.#expected !== undefined && this.#received > this.#expected) {
      this.#refuse(
        new MillraceError("UNIMPLEMENTED", Reason.UNIMPLEMENTED, "A unary call has one request; more than one came."),
      );
    }
  }

  #readPrefix(): void {
    const prefix = this.#rest === undefined ? this.#first : Buffer.concat([this.#first ?? [], ...this.#rest].flat());
    if (prefix === undefined) return;
    const length = prefix.readUInt32BE(1);
    this.#expected = prefixBytes + length;
    if (prefix[0] !== 0) {
      this.#refuse(
        requestBroken("a message that is not compressed, since no grpc-encoding is named", "a compressed one"),
      );
    } else if (length > this.#maxReceiveBytes) {
      this.#refuse(new RequestTooLargeError(length, this.#maxReceiveBytes));
    }
  }

  #begin(): void {
    if (this.#answered) return;
    if (this.#received !== this.#expected) {
      this.#refuse(
        this.#received === 0
          ? requestBroken("one request", "none")
          : requestBroken(`${this.#expected ?? prefixBytes} bytes`, `${this.#received} bytes`),
      );
      return;
    }
    this.#handler(this, (error, bytes, trailer) => this.#answer(error, bytes, trailer));
  }

  /** Ends a call that no handler has seen. */
  #refuse(error: MillraceError): void {
    this.#answer(statusFromError(error, undefined));
    this.#first = undefined;
    this.#rest = undefined;
  }

  #answer(error: GrpcStatus | null, bytes?: Buffer, trailer?: Metadata): void {
    if (this.#answered) return;
    this.#answered = true;
    clearTimeout(this.#timer);
    const stream = this.#stream;
    if (stream.destroyed || stream.closed) return;
    if (error !== null || bytes === undefined) {
      const status = error ?? { code: 0, details: "", metadata: trailer ?? new Metadata() };
      stream.respond({ ...answerHeaders, ...trailersOf(status) }, { endStream: true });
      return;
    }
    stream.respond(answerHeaders, answerOptions);
    stream.once("wantTrailers", () => {
      if (stream.destroyed || stream.closed) return;
      stream.sendTrailers(trailer === undefined ? okTrailers : { ...okTrailers, ...trailer.toHttp2Headers() });
    });
    if (bytes.length <= copiedBytes) {
      const framed = Buffer.allocUnsafe(prefixBytes + bytes.length);
      framed[0] = 0;
      framed.writeUInt32BE(bytes.length, 1);
      framed.set(bytes, prefixBytes);
      stream.end(framed);
      return;
    }
    const prefix = Buffer.alloc(prefixBytes);
    prefix.writeUInt32BE(bytes.length, 1);
    stream.write(prefix);
    stream.end(bytes);
  }

  #expireAfter(timeout: string): void {
    const [, digits, unit = ""] = /^(\d{1,8})\s*([HMSmun])$/.exec(timeout) ?? [];
    const unitMs = timeoutUnitMs[unit];
    if (digits === undefined || unitMs === undefined) {
      this.#refuse(
        new RequestInvalidError("The header grpc-timeout is malformed.", {
          violations: [
            { field: "grpc-timeout", expected: "up to eight digits and one of H, M, S, m, u, n", got: timeout },
          ],
        }),
      );
      return;
    }
    const timeoutMs = Math.trunc(Number(digits) * unitMs);
    this.#deadlineMs = Date.now() + timeoutMs;
    this.#timer = setTimeout(() => this.#expire(), Math.min(timeoutMs, longestTimerMs));
  }

  #expire(): void {
    if (this.#answered || this.#deadlineMs - Date.now() > longestTimerMs / 2) return;
    this.#refuse(new DeadlineExceededError());
    this.#onCancelled?.();
  }

  #closed(): void {
    clearTimeout(this.#timer);
    if (this.#answered) return;
    this.#answered = true;
    this.#onCancelled?.();
  }
}

/** Thrown to a caller whose message is larger than the server takes. */
export class RequestTooLargeError extends MillraceError {
  constructor(bytes: number, maxBytes: number) {
    super("RESOURCE_EXHAUSTED", Reason.TOO_LARGE, `A request may have ${maxBytes} bytes here; this one has ${bytes}.`, {
      metadata: { maxMessageBytes: String(maxBytes) },
    });
  }
}

const requestBroken = (expected: string, got: string): RequestInvalidError =>
  new RequestInvalidError("The request is no gRPC message.", { violations: [{ field: "", expected, got }] });

const trailersOf = ({ code, details, metadata }: GrpcStatus): OutgoingHttpHeaders => ({
  "grpc-status": String(code),
  // Lone surrogates have no bytes to be encoded.
  ...(details === "" ? {} : { "grpc-message": encodeURI(details.toWellFormed()) }),
  ...metadata.toHttp2Headers(),
});
