import { Agent } from "undici";

/** An event that is to be posted. */
export interface PayloadEvent {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Memory that it holds while it waits. */
  readonly heldBytes: number;
  /** Makes the body when its turn has come. */
  body(): Uint8Array;
}

/** What became of an event. REFUSED: its receiver does not want it. FAILED: it was tried as often as it may be. */
export type PayloadOutcome = "SENT" | "BUFFER_FULL" | "REFUSED" | "FAILED" | "NOT_ENCODED" | "STOPPED";

/** What the log tells of itself. */
export interface PayloadLogObserver {
  onEvents(outcome: PayloadOutcome, count: number, why: unknown): void;
  onRetry(): void;
}

export interface PayloadLogOptions {
  /** Most events that wait for one receiver. */
  readonly maxBuffered: number;
  /** Most memory that they hold, in bytes. */
  readonly maxBufferedBytes: number;
  /** Longest time that closing may take to send what waits, in ms. */
  readonly closeLimitMs: number;
  /** The first pause before an event is sent again, in ms; each further one is twice as long. */
  readonly firstRetryMs: number;
}

/** Requests under way to one receiver, tries of one event, and how long each may take in ms. */
const mostUnderWay = 4;
const mostTries = 4;
const tryTimeoutMs = 5000;

/** What waits for one receiver: one that is away holds up no other. */
interface Lane {
  readonly url: string;
  readonly waiting: PayloadEvent[];
  underWay: number;
  /** Of what waits and what is under way. */
  bytes: number;
}

/**
 * Posts CloudEvents to their receivers. `offer` never waits and never fails: what does not fit the buffer is dropped, and
 * counted. What a receiver does not take for now (408, 429, 5xx, or no answer) is sent again a few times.
 */
export class PayloadLog {
  readonly #options: PayloadLogOptions;
  readonly #observer: PayloadLogObserver;
  readonly #agent = new Agent({ connections: mostUnderWay, headersTimeout: tryTimeoutMs, bodyTimeout: tryTimeoutMs });
  readonly #stop = new AbortController();
  readonly #lanes = new Map<string, Lane>();
  #drained: (() => void) | undefined;

  constructor(options: PayloadLogOptions, observer: PayloadLogObserver) {
    this.#options = options;
    this.#observer = observer;
  }

  /** Events that wait or are under way. */
  get buffered(): number {
    let count = 0;
    for (const { waiting, underWay } of this.#lanes.values()) count += waiting.length + underWay;
    return count;
  }

  /** Sends soon. */
  offer(event: PayloadEvent): void {
    const { url, heldBytes } = event;
    if (this.#stop.signal.aborted) {
      this.#observer.onEvents("STOPPED", 1, undefined);
      return;
    }
    const lane = this.#laneOf(url);
    const { maxBuffered, maxBufferedBytes } = this.#options;
    if (lane.waiting.length >= maxBuffered || lane.bytes + heldBytes > maxBufferedBytes) {
      this.#observer.onEvents("BUFFER_FULL", 1, undefined);
      return;
    }
    lane.waiting.push(event);
    lane.bytes += heldBytes;
    if (lane.underWay < mostUnderWay) void this.#work(lane);
  }

  /** Sends what waits, as long as that may take; what is left then is dropped, and counted. */
  async close(): Promise<void> {
    if (this.#lanes.size > 0) {
      await new Promise<void>((resolve) => {
        const limit = setTimeout(resolve, this.#options.closeLimitMs);
        this.#drained = () => {
          clearTimeout(limit);
          resolve();
        };
      });
    }
    this.#stop.abort();
    await this.#agent.destroy();
    for (const { waiting } of this.#lanes.values()) {
      if (waiting.length > 0) this.#observer.onEvents("STOPPED", waiting.length, undefined);
    }
    this.#lanes.clear();
  }

  #laneOf(url: string): Lane {
    let lane = this.#lanes.get(url);
    if (lane === undefined) {
      lane = { url, waiting: [], underWay: 0, bytes: 0 };
      this.#lanes.set(url, lane);
    }
    return lane;
  }

  /** Sends one after the other until none waits. */
  async #work(lane: Lane): Promise<void> {
    lane.underWay++;
    // Not in the turn of the call that offered it.
    await new Promise((resolve) => setImmediate(resolve));
    for (;;) {
      const event = this.#stop.signal.aborted ? undefined : lane.waiting.shift();
      if (event === undefined) break;
      await this.#send(event);
      lane.bytes -= event.heldBytes;
    }
    lane.underWay--;
    if (lane.underWay === 0 && lane.waiting.length === 0) this.#lanes.delete(lane.url);
    if (this.#lanes.size === 0) this.#drained?.();
  }

  async #send({ url, headers, body }: PayloadEvent): Promise<void> {
    let why: unknown;
    let bytes: Uint8Array;
    try {
      bytes = body();
    } catch (error) {
      this.#observer.onEvents("NOT_ENCODED", 1, error);
      return;
    }
    for (let tries = 1; tries <= mostTries; tries++) {
      if (tries > 1) {
        this.#observer.onRetry();
        await this.#pause(this.#options.firstRetryMs * 2 ** (tries - 2));
      }
      if (this.#stop.signal.aborted) return this.#observer.onEvents("STOPPED", 1, why);
      const status = await this.#post(url, headers, bytes).catch((error: unknown) => {
        why = error;
      });
      if (status === undefined) continue;
      if (status >= 200 && status < 300) return this.#observer.onEvents("SENT", 1, undefined);
      why = new Error(`It answered with the status ${status}.`);
      const mayPass = status === 408 || status === 429 || status >= 500;
      if (!mayPass) return this.#observer.onEvents("REFUSED", 1, why);
    }
    this.#observer.onEvents("FAILED", 1, why);
  }

  async #post(url: string, headers: Readonly<Record<string, string>>, body: Uint8Array): Promise<number> {
    const { origin, pathname, search } = new URL(url);
    const answer = await this.#agent.request({
      origin,
      path: `${pathname}${search}`,
      method: "POST",
      headers,
      body,
      signal: this.#stop.signal,
    });
    await answer.body.dump();
    return answer.statusCode;
  }

  async #pause(ms: number): Promise<void> {
    const { signal } = this.#stop;
    if (signal.aborted) return;
    await new Promise<void>((resolve) => {
      const end = () => {
        clearTimeout(timer);
        signal.removeEventListener("abort", end);
        resolve();
      };
      const timer = setTimeout(end, ms);
      signal.addEventListener("abort", end);
    });
  }
}
