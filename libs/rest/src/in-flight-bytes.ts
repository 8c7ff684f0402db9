import { MillraceError, Reason } from "@millrace/errors";

/** Thrown where the messages of the calls under way would take more memory than they may. */
export class TooManyBytesInFlightError extends MillraceError {
  constructor(bytes: number, inFlightBytes: number, maxBytes: number) {
    super(
      "RESOURCE_EXHAUSTED",
      Reason.OVERLOADED,
      `A request of ${bytes} bytes came while ${inFlightBytes} bytes of requests were under way, of ${maxBytes} that may be.`,
      {
        // What is larger than all may be is not taken later either.
        ...(bytes > maxBytes ? {} : { retryAfterMs: 100 }),
        metadata: { inFlightBytes: String(inFlightBytes), maxInFlightBytes: String(maxBytes) },
      },
    );
  }
}

/** The bytes of all requests that are under way, and their bound. */
export class InFlightBytes {
  readonly #maxBytes: number;
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Counts a request in. Whoever called calls `release` with the same number. @throws TooManyBytesInFlightError */
  acquire(bytes: number): void {
    if (this.#bytes + bytes > this.#maxBytes) {
      throw new TooManyBytesInFlightError(bytes, this.#bytes, this.#maxBytes);
    }
    this.#bytes += bytes;
  }

  release(bytes: number): void {
    this.#bytes -= bytes;
  }
}
