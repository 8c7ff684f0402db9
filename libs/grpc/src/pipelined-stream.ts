import type { IncomingHttpHeaders, ServerHttp2Stream } from "node:http2";
import { type CallContext, runInCall } from "./call-context.ts";
import { DeadlineExceededError, StoppingError } from "./call-errors.ts";
import type { ObservedMethod } from "./call-observer.ts";
import { plainBytes } from "./message-codec.ts";
import { MessageReader, prefixBytes, writePrefix } from "./message-reader.ts";
import { RequestBrokenError } from "./request-errors.ts";
import { type OpenStream, ServerCall, type ServerEnvironment } from "./server-call.ts";
import type { RawPipelined } from "./service-implementation.ts";
import { answerHeaders, answerOptions, StreamCall, trailersOf } from "./stream-call.ts";
import { StreamWindow } from "./stream-window.ts";

/** A request of the stream and, once it is there, its answer, or why there is none. */
interface Place {
  answer: Uint8Array | undefined;
  failure: { readonly error: unknown } | undefined;
}

/**
 * A bidirectional call on its HTTP/2 stream whose requests are answered one for one, in their order, many under way at
 * once. Answers that are ready together leave in one write. No more is read while those before fill the stream's window,
 * and no more is written than the caller takes.
 */
export class PipelinedStream extends StreamCall implements OpenStream {
  readonly #context: ServerCall;
  readonly #environment: ServerEnvironment;
  readonly #answer: (bytes: Uint8Array, call: CallContext) => Promise<Uint8Array>;
  readonly #reader: MessageReader;
  readonly #window = new StreamWindow();
  /** Requests that came in a frame with others and do not fit the window yet. */
  #waiting: Buffer[] = [];
  #places: Place[] = [];
  #flushIsDue = false;
  /** No further request is taken. */
  #isLast = false;
  /** What the call ends with, once all that was taken is answered; null for success. */
  #ending: { readonly error: unknown } | undefined;

  constructor(
    stream: ServerHttp2Stream,
    headers: IncomingHttpHeaders,
    { answer }: RawPipelined,
    method: ObservedMethod,
    environment: ServerEnvironment,
    maxReceiveBytes: number,
  ) {
    super(stream, headers);
    this.#answer = answer;
    this.#environment = environment;
    this.#reader = new MessageReader(maxReceiveBytes);
    this.#context = new ServerCall(method, this, environment);
    this.#context.onInterrupt = () => this.#fail(this.#context.interruption);
    environment.streams.add(this);
    stream.on("drain", () => this.#flush());
    try {
      this.#context.authenticate();
      this.keepDeadline();
    } catch (error) {
      this.#fail(error);
    }
    stream.on("data", (bytes: Buffer) => this.#take(bytes));
    // A caller that cancels closes its direction first: only a moment later the call is known to be cancelled.
    stream.on("end", () => setImmediate(() => this.#ended()));
  }

  finishSoon(): void {
    if (this.#isLast) return;
    this.#isLast = true;
    this.#waiting = [];
    this.#ending = { error: new StoppingError() };
    this.#flushSoon();
  }

  stop(): void {
    this.#context.interrupt(new StoppingError());
  }

  protected override expired(): void {
    this.#context.interrupt(new DeadlineExceededError());
  }

  protected override cancelled(): void {
    super.cancelled();
    this.#environment.streams.delete(this);
    this.#places = [];
    this.#waiting = [];
  }

  #take(bytes: Buffer): void {
    if (this.#isLast || this.isOver) return;
    try {
      this.#reader.take(bytes, (message) => this.#waiting.push(message));
    } catch (error) {
      this.#endWith(error);
    }
    this.#admit();
    if (this.#waiting.length > 0 || !this.#window.open) this.stream.pause();
  }

  /** Begins what waits, as far as the window lets it. */
  #admit(): void {
    if (this.#waiting.length === 0) return;
    let admitted = 0;
    runInCall(this.#context, () => {
      for (const message of this.#waiting) {
        if (!this.#window.open) break;
        admitted++;
        this.#begin(message);
      }
    });
    this.#waiting = admitted === this.#waiting.length ? [] : this.#waiting.slice(admitted);
  }

  #begin(message: Buffer): void {
    const place: Place = { answer: undefined, failure: undefined };
    this.#places.push(place);
    this.#window.requested(message.length);
    this.#answer(plainBytes(message), this.#context).then(
      (answer) => {
        this.#window.answered(message.length, answer.byteLength);
        place.answer = answer;
        if (place === this.#places[0]) this.#flushSoon();
      },
      (error: unknown) => {
        place.failure = { error };
        if (place === this.#places[0]) this.#flushSoon();
      },
    );
  }

  #ended(): void {
    if (this.#isLast) return;
    if (this.#reader.between) {
      this.#isLast = true;
      this.#flushSoon();
    } else {
      this.#endWith(new RequestBrokenError("whole messages", "a part of one at the end"));
    }
  }

  /** Answers what was taken, and then ends with an error. */
  #endWith(error: unknown): void {
    if (this.#isLast) return;
    this.#isLast = true;
    this.#ending = { error };
    this.#flushSoon();
  }

  /** Those that become ready in the same turn leave together. */
  #flushSoon(): void {
    if (this.#flushIsDue) return;
    this.#flushIsDue = true;
    process.nextTick(() => {
      this.#flushIsDue = false;
      this.#flush();
    });
  }

  #flush(): void {
    if (this.isOver) return;
    const { stream } = this;
    while (this.#places[0]?.answer !== undefined) {
      if (stream.writableNeedDrain) return;
      this.#write(this.#takeReady());
    }
    const failure = this.#places[0]?.failure;
    if (failure !== undefined) {
      this.#fail(failure.error);
      return;
    }
    this.#admit();
    if (this.#waiting.length > 0) return;
    if (this.#isLast) {
      if (this.#places.length === 0) this.#finish();
    } else if (stream.isPaused() && this.#window.open) {
      stream.resume();
    }
  }

  /** The answers that are ready, in their order, as many as fit a write. */
  #takeReady(): readonly Uint8Array[] {
    const ready: Uint8Array[] = [];
    let bytes = 0;
    for (const { answer } of this.#places) {
      if (answer === undefined || (ready.length > 0 && bytes + answer.byteLength > writtenBytes)) break;
      ready.push(answer);
      bytes += answer.byteLength;
    }
    this.#places.splice(0, ready.length);
    return ready;
  }

  #write(answers: readonly Uint8Array[]): void {
    const { stream } = this;
    if (!stream.headersSent) stream.respond(answerHeaders, answerOptions);
    let bytes = 0;
    for (const answer of answers) bytes += prefixBytes + answer.byteLength;
    const frame = Buffer.allocUnsafe(bytes);
    let at = 0;
    for (const answer of answers) {
      writePrefix(frame, at, answer.byteLength);
      frame.set(answer, at + prefixBytes);
      at += prefixBytes + answer.byteLength;
    }
    const isTaken = stream.write(frame, () => {
      if (isTaken) return;
      for (const answer of answers) this.#window.sent(answer.byteLength);
      this.#flush();
    });
    if (isTaken) for (const answer of answers) this.#window.sent(answer.byteLength);
  }

  #finish(): void {
    if (this.#ending !== undefined) {
      this.#fail(this.#ending.error);
      return;
    }
    this.#context.finish("OK");
    this.#close(
      this.#context.trailer === undefined ? okStatus : { ...okStatus, ...this.#context.trailer.toHttp2Headers() },
    );
  }

  /** Ends at once with an error: what was not answered is dropped. */
  #fail(error: unknown): void {
    const status = this.#context.fail(error);
    this.#isLast = true;
    this.#places = [];
    this.#waiting = [];
    if (this.stream.headersSent) {
      this.#close(trailersOf(status));
    } else {
      this.#environment.streams.delete(this);
      this.respondWithStatus(status);
      // What still comes is let go, so that the connection's window stays open.
      this.stream.resume();
    }
  }

  #close(trailers: Readonly<Record<string, unknown>>): void {
    this.#environment.streams.delete(this);
    if (this.isOver) return;
    this.end();
    const { stream } = this;
    if (!stream.headersSent) stream.respond(answerHeaders, answerOptions);
    stream.once("wantTrailers", () => {
      if (!stream.destroyed && !stream.closed) stream.sendTrailers(trailers as Record<string, string>);
    });
    stream.end();
    // What still comes is let go, so that the connection's window stays open.
    stream.resume();
  }
}

/** Answers of up to so many bytes are joined for one write. */
const writtenBytes = 64 * 1024;

const okStatus = { "grpc-status": "0" };
