import type { IncomingHttpHeaders, OutgoingHttpHeaders, ServerHttp2Stream } from "node:http2";
import type { Metadata } from "@grpc/grpc-js";
import { MillraceError, Reason } from "@millrace/errors";
import { DeadlineExceededError } from "./call-errors.ts";
import { MessageReader, prefixBytes, writePrefix } from "./message-reader.ts";
import { RequestBrokenError } from "./request-errors.ts";
import type { SurfaceCall } from "./server-call.ts";
import { type GrpcStatus, statusFromError } from "./status-from-error.ts";
import { answerHeaders, answerOptions, StreamCall } from "./stream-call.ts";

/** A unary call whose request has come. */
export interface UnaryCall extends SurfaceCall {
  readonly request: Buffer;
}

/** Ends a unary call: with its status where there is an error, else with the bytes of the answer. */
export type UnaryRespond = (error: GrpcStatus | null, bytes?: Buffer, trailer?: Metadata) => void;

export type UnaryHandler = (call: UnaryCall, respond: UnaryRespond) => void;

/** An answer of up to so many bytes is copied behind its prefix, so that both leave in one frame. */
const copiedBytes = 64 * 1024;

const okTrailers: OutgoingHttpHeaders = { "grpc-status": "0" };

const noRequest = Buffer.alloc(0);

/** A unary call on its HTTP/2 stream. */
export class UnaryStream extends StreamCall implements UnaryCall {
  readonly #handler: UnaryHandler;
  readonly #reader: MessageReader;
  #request: Buffer | undefined;

  /** @param maxReceiveBytes of a request. */
  constructor(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, handler: UnaryHandler, maxReceiveBytes: number) {
    super(stream, headers);
    this.#handler = handler;
    this.#reader = new MessageReader(maxReceiveBytes);
    stream.on("data", (bytes: Buffer) => this.#take(bytes));
    stream.on("end", () => this.#begin());
    try {
      this.keepDeadline();
    } catch (error) {
      this.#refuse(error);
    }
  }

  get request(): Buffer {
    return this.#request ?? noRequest;
  }

  protected override expired(): void {
    if (this.isOver) return;
    this.#refuse(new DeadlineExceededError());
    this.cancelled();
  }

  #take(bytes: Buffer): void {
    if (this.isOver) return;
    try {
      this.#reader.take(bytes, (message) => {
        if (this.#request !== undefined) {
          const text = "A unary call has one request; more than one came.";
          throw new MillraceError("UNIMPLEMENTED", Reason.UNIMPLEMENTED, text);
        }
        this.#request = message;
      });
    } catch (error) {
      this.#refuse(error);
    }
  }

  #begin(): void {
    if (this.isOver) return;
    if (this.#request === undefined || !this.#reader.between) {
      this.#refuse(new RequestBrokenError("one whole message", this.#reader.between ? "none" : "a part of one"));
      return;
    }
    this.#handler(this, (error, bytes, trailer) => this.#answer(error, bytes, trailer));
  }

  /** Ends a call with an error that no handler has seen. */
  #refuse(error: unknown): void {
    this.respondWithStatus(statusFromError(error, undefined));
  }

  #answer(error: GrpcStatus | null, bytes: Buffer = noRequest, trailer?: Metadata): void {
    if (error !== null) {
      this.respondWithStatus(error);
      return;
    }
    if (this.isOver) return;
    this.end();
    const { stream } = this;
    stream.respond(answerHeaders, answerOptions);
    stream.once("wantTrailers", () => {
      if (stream.destroyed || stream.closed) return;
      stream.sendTrailers(trailer === undefined ? okTrailers : { ...okTrailers, ...trailer.toHttp2Headers() });
    });
    const isCopied = bytes.length <= copiedBytes;
    const frame = Buffer.allocUnsafe(isCopied ? prefixBytes + bytes.length : prefixBytes);
    writePrefix(frame, 0, bytes.length);
    if (isCopied) {
      frame.set(bytes, prefixBytes);
      stream.end(frame);
    } else {
      stream.write(frame);
      stream.end(bytes);
    }
  }
}
