/** A body over HTTP as it was sent. */
export interface RawBody {
  readonly contentType: string;
  readonly bytes: Uint8Array;
  /** Where the JSON of the body ends and the bytes of tensors begin; undefined where all of it is JSON. */
  readonly jsonBytes?: string | undefined;
}

/**
 * The untouched bodies of a call over HTTP. A protocol that has such bodies makes one for each call, hands it on with the
 * call (`TensorCall.exchange`), and says what it answered with `answer`; a call that fails is not answered. Whoever wants
 * the answer's body (a payload log) asks for it with `onAnswer` while the call runs.
 */
export class RawExchange {
  readonly request: RawBody;
  #tell: ((body: RawBody) => void) | undefined;

  constructor(request: RawBody) {
    this.request = request;
  }

  /** Has the answer's body told, once it is there. It must not throw, and never delays the answer. */
  onAnswer(tell: (body: RawBody) => void): void {
    this.#tell = tell;
  }

  answer(contentType: string, body: string | Uint8Array, jsonBytes?: string): void {
    // Most calls have nobody who listens: their text is not copied.
    this.#tell?.({ contentType, bytes: typeof body === "string" ? Buffer.from(body) : body, jsonBytes });
  }
}
