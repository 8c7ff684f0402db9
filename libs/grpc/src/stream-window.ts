/** Most requests of one stream that are under way at once. */
const maxRequests = 1024;
/** Most bytes that one stream may hold: requests that are not answered, and answers that the caller has not taken. */
const maxBytes = 16 * 1024 * 1024;
/** How large an answer is taken to be before any of the stream was seen. */
const firstGuessBytes = 64 * 1024;

/**
 * How much of a stream may be under way, so that a caller that sends and does not read, or asks for large answers, makes
 * the service hold no more than a bounded part of it. The size of an answer is known once it is there; until then it is
 * taken to be as large as the largest of those before it, of which each smaller one lets some go.
 */
export class StreamWindow {
  #requests = 0;
  #heldBytes = 0;
  #unanswered = 0;
  #guessBytes = firstGuessBytes;

  /** Whether another request may be read. One always may. */
  get open(): boolean {
    if (this.#requests === 0) return true;
    return this.#requests < maxRequests && this.#heldBytes + this.#unanswered * this.#guessBytes < maxBytes;
  }

  /** A request was read. */
  requested(bytes: number): void {
    this.#requests++;
    this.#unanswered++;
    this.#heldBytes += bytes;
  }

  /** A request was answered: its own bytes are let go, its answer's are held. */
  answered(requestBytes: number, answerBytes: number): void {
    this.#unanswered--;
    this.#heldBytes += answerBytes - requestBytes;
    this.#guessBytes = Math.max(answerBytes, this.#guessBytes * 0.95);
  }

  /** An answer was handed to the caller. */
  sent(answerBytes: number): void {
    this.#requests--;
    this.#heldBytes -= answerBytes;
  }
}
