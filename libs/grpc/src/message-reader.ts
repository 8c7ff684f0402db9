import { RequestBrokenError, RequestTooLargeError } from "./request-errors.ts";

/** One byte that says whether the message is compressed, and four of its length. */
export const prefixBytes = 5;

/** Cuts the bytes of a stream into its messages, wherever its frames end. */
export class MessageReader {
  readonly #maxBytes: number;
  /** What has come of the next message, and how much of it is needed before anything can be told of it. */
  #parts: Buffer[] = [];
  #received = 0;
  #needed = prefixBytes;

  /** @param maxBytes of a message. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Whether the stream may end here. */
  get between(): boolean {
    return this.#received === 0;
  }

  /**
   * Takes the next bytes of the stream, and hands on each message that they complete, as a view of them.
   * @throws RequestTooLargeError, and RequestBrokenError where a message says that it is compressed.
   */
  take(bytes: Buffer, onMessage: (message: Buffer) => void): void {
    this.#parts.push(bytes);
    this.#received += bytes.length;
    if (this.#received < this.#needed) return;
    let rest = this.#parts.length === 1 ? bytes : Buffer.concat(this.#parts);
    this.#needed = prefixBytes;
    while (rest.length >= prefixBytes) {
      const end = prefixBytes + this.#messageBytes(rest);
      if (rest.length < end) {
        this.#needed = end;
        break;
      }
      onMessage(rest.subarray(prefixBytes, end));
      rest = rest.subarray(end);
    }
    this.#parts = rest.length === 0 ? [] : [rest];
    this.#received = rest.length;
  }

  #messageBytes(prefix: Buffer): number {
    if (prefix[0] !== 0)
      throw new RequestBrokenError(
        "a message that is not compressed, as no grpc-encoding is named",
        "a compressed one",
      );
    const bytes = prefix.readUInt32BE(1);
    if (bytes > this.#maxBytes) throw new RequestTooLargeError(bytes, this.#maxBytes);
    return bytes;
  }
}

/** Writes the prefix of a message that is not compressed. */
export const writePrefix = (frame: Buffer, at: number, messageBytes: number): void => {
  frame[at] = 0;
  frame.writeUInt32BE(messageBytes, at + 1);
};
