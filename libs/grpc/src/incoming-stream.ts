import type { Readable } from "node:stream";

interface Waiter<T> {
  resolve(result: IteratorResult<T>): void;
  reject(error: unknown): void;
}

/** What a stream means on its side of the call. */
export interface IncomingStreamOptions {
  /** Whether these are the requests that a server gets. */
  readonly server: boolean;
  onError(error: unknown): unknown;
  onReturn(): void;
}

const pauseAt = 64;
const resumeAt = 16;
const pauseAtBytes = 4 * 1024 * 1024;

/**
 * The messages of one direction of a call as an AsyncIterable, to be iterated once.
 *
 * It listens from its creation, so that neither a message nor an error is lost before the first `next()`; it pauses the
 * stream while more than 64 messages, or 4 MiB of them, wait. A message is decoded when it is taken.
 */
export class IncomingStream<T> implements AsyncIterableIterator<T> {
  readonly #stream: Readable;
  readonly #decode: (bytes: Buffer) => T;
  readonly #onReturn: () => void;
  readonly #waiters: Waiter<T>[] = [];
  #buffer: Buffer[] = [];
  #head = 0;
  #waitingBytes = 0;
  #ended = false;
  #failure: { readonly error: unknown } | undefined;

  /**
   * @param decode makes a message of its bytes; an error that it throws ends the iteration. @param options.onError turns
   * an error of the stream into what the reader sees. @param options.onReturn called when the reader stops early.
   */
  constructor(stream: Readable, decode: (bytes: Buffer) => T, options: IncomingStreamOptions) {
    this.#stream = stream;
    this.#decode = decode;
    this.#onReturn = options.onReturn;
    let failure: { readonly error: unknown } | undefined;
    const end = () => {
      if (failure === undefined) {
        this.end();
      } else {
        this.fail(failure.error);
      }
    };
    stream.on("data", (bytes: Buffer) => this.#push(bytes));
    // A caller that cancels closes its direction first: only a moment later the call is known to be cancelled.
    stream.on("end", () => (options.server ? setImmediate(end) : end()));
    // The messages before the error may still wait in the stream: its end comes after them.
    stream.on("error", (error: unknown) => {
      failure ??= { error: options.onError(error) };
    });
    stream.on("close", () => failure !== undefined && end());
  }

  /** Whether the sender, or `end`, closed this direction. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Ends the iteration after the messages that are already here. */
  end(): void {
    this.#ended = true;
    this.#settleWaiters();
  }

  /** Ends the iteration with an error, after the messages that are already here. */
  fail(error: unknown): void {
    this.#failure ??= { error };
    this.#settleWaiters();
  }

  next(): Promise<IteratorResult<T>> {
    const bytes = this.#shift();
    if (bytes !== undefined) {
      try {
        return Promise.resolve({ done: false, value: this.#decode(bytes) });
      } catch (error) {
        this.#discard();
        return Promise.reject(error);
      }
    }
    if (this.#failure !== undefined) {
      const { error } = this.#failure;
      this.#failure = undefined;
      this.#ended = true;
      return Promise.reject(error);
    }
    if (this.#ended) {
      return Promise.resolve({ done: true, value: undefined });
    }
    return new Promise((resolve, reject) => {
      this.#waiters.push({ resolve, reject });
    });
  }

  return(): Promise<IteratorResult<T>> {
    const early = !this.#ended;
    this.#discard();
    if (early) {
      this.#onReturn();
    }
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #push(bytes: Buffer): void {
    if (this.#ended) {
      return;
    }
    this.#buffer.push(bytes);
    this.#waitingBytes += bytes.length;
    const waiter = this.#waiters.shift();
    if (waiter !== undefined) {
      this.next().then(waiter.resolve, waiter.reject);
    } else if (this.#buffer.length - this.#head >= pauseAt || this.#waitingBytes >= pauseAtBytes) {
      this.#stream.pause();
    }
  }

  #shift(): Buffer | undefined {
    const bytes = this.#buffer[this.#head];
    if (bytes === undefined) {
      return undefined;
    }
    this.#head += 1;
    this.#waitingBytes -= bytes.length;
    const left = this.#buffer.length - this.#head;
    if (left === 0) {
      this.#buffer = [];
      this.#head = 0;
    }
    if (left <= resumeAt && this.#waitingBytes < pauseAtBytes && this.#stream.isPaused()) {
      this.#stream.resume();
    }
    return bytes;
  }

  #settleWaiters(): void {
    for (let waiter = this.#waiters.shift(); waiter !== undefined; waiter = this.#waiters.shift()) {
      this.next().then(waiter.resolve, waiter.reject);
    }
  }

  #discard(): void {
    this.#ended = true;
    this.#failure = undefined;
    this.#buffer = [];
    this.#head = 0;
    this.#waitingBytes = 0;
    this.#stream.resume();
    this.#settleWaiters();
  }
}
