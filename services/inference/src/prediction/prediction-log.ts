import { MillraceError, Reason } from "@millrace/errors";
import type { EventLog, NewRecord } from "@millrace/event-log";
import type { LoggableRows } from "./loggable-rows.ts";

/** Thrown to who waits for a prediction to be logged that is larger than a record of the log may be. */
export class PredictionTooLargeError extends MillraceError {
  constructor() {
    super(
      "RESOURCE_EXHAUSTED",
      Reason.TOO_LARGE,
      `A prediction has more than the ${maxRecordBytes} bytes that the log takes, and is not answered without being logged.`,
    );
  }
}

/** Why a prediction was not logged. */
export type DropReason = "BUFFER_FULL" | "TOO_LARGE" | "NOT_ENCODED" | "STOPPED";

/** What the log tells of itself. */
export interface PredictionLogObserver {
  onLogged(count: number): void;
  onDropped(count: number, reason: DropReason): void;
  onFailed(error: unknown): void;
}

export interface PredictionLogOptions {
  readonly topic: string;
  /** Most predictions that wait. */
  readonly maxBuffered: number;
  /** Most memory that predictions hold while they wait, in bytes. */
  readonly maxBufferedBytes: number;
  /** Longest time that closing may take to log what waits, in ms. */
  readonly closeLimitMs: number;
}

/** Most records in one append, and most that are encoded before other work has its turn. */
const maxAppend = 500;
const encodedAtOnce = 32;
const retryMs = 200;
/** How long what was offered waits for company, in ms: one append of many costs far less than many. */
const lingerMs = 10;
/** Most bytes of key, value and headers that an event log takes, less room for the headers. */
const maxRecordBytes = 990_000;

/** Rows that wait, and who waits for them. */
interface Waiting {
  readonly rows: LoggableRows;
  /** How many of them are taken. */
  readonly count: number;
  next: number;
  /** Taken rows that the log does not have yet. */
  left: number;
  readonly logged: (() => void) | undefined;
  readonly failed: ((error: unknown) => void) | undefined;
}

interface Encoded {
  readonly record: NewRecord;
  readonly from: Waiting;
}

/**
 * The prediction log: each prediction is a CloudEvent in Kafka's binary mode. `offer` never waits and never fails, and
 * leaves the encoding for later: what does not fit the buffer is dropped, and counted. `append` waits until the log has
 * it. What comes while an append is under way goes into the next one together.
 */
export class PredictionLog {
  readonly #log: EventLog;
  readonly #options: PredictionLogOptions;
  readonly #observer: PredictionLogObserver;
  #waiting: Waiting[] = [];
  /** Encoded already, and not taken by the log: they go first. */
  #again: Encoded[] = [];
  #buffered = 0;
  #bufferedBytes = 0;
  #flushing: Promise<void> | undefined;
  #hurry: (() => void) | undefined;
  #closing = false;
  #stopped = false;

  constructor(log: EventLog, options: PredictionLogOptions, observer: PredictionLogObserver) {
    this.#log = log;
    this.#options = options;
    this.#observer = observer;
  }

  /** Predictions that wait to be logged. */
  get buffered(): number {
    return this.#buffered;
  }

  /** Logs soon. */
  offer(rows: LoggableRows): void {
    if (rows.count === 0) return;
    if (this.#stopped) {
      this.#observer.onDropped(rows.count, "STOPPED");
      return;
    }
    const fits = this.#bufferedBytes + rows.bytes <= this.#options.maxBufferedBytes;
    const room = fits ? Math.max(0, this.#options.maxBuffered - this.#buffered) : 0;
    const count = Math.min(rows.count, room);
    if (count < rows.count) this.#observer.onDropped(rows.count - count, "BUFFER_FULL");
    if (count > 0) this.#add({ rows, count, next: 0, left: count, logged: undefined, failed: undefined });
  }

  /** Logs now; resolves when the predictions are durable. @throws LogUnavailableError */
  async append(rows: LoggableRows): Promise<void> {
    const { count } = rows;
    if (count === 0) return;
    if (this.#stopped) throw stoppedError();
    await new Promise<void>((logged, failed) => {
      this.#add({ rows, count, next: 0, left: count, logged, failed });
      this.#hurry?.();
    });
  }

  /** Logs what waits, as long as that may take; what is left then is dropped, and counted. */
  async close(): Promise<void> {
    this.#closing = true;
    const limit = setTimeout(() => {
      this.#stopped = true;
      this.#hurry?.();
    }, this.#options.closeLimitMs);
    this.#hurry?.();
    await this.#flushing;
    clearTimeout(limit);
    this.#stopped = true;
    if (this.#buffered > 0) this.#observer.onDropped(this.#buffered, "STOPPED");
    for (const { failed } of this.#waiting) failed?.(stoppedError());
    this.#waiting = [];
    this.#again = [];
    this.#buffered = 0;
  }

  #add(waiting: Waiting): void {
    this.#waiting.push(waiting);
    this.#buffered += waiting.count;
    this.#bufferedBytes += waiting.rows.bytes;
    if (this.#buffered >= maxAppend) this.#hurry?.();
    this.#flushing ??= this.#flush().finally(() => {
      this.#flushing = undefined;
    });
  }

  /** Appends until nothing waits. */
  async #flush(): Promise<void> {
    // What comes in the same moment goes into the same append.
    await nextTurn();
    while (this.#buffered > 0 && !this.#stopped) {
      const isUrgent = this.#waiting.some(({ failed }) => failed !== undefined);
      if (!isUrgent && this.#buffered < maxAppend) await this.#pause(lingerMs);
      const batch = await this.#encode();
      if (batch.length === 0) continue;
      try {
        await this.#log.append(
          this.#options.topic,
          batch.map(({ record }) => record),
        );
      } catch (error) {
        this.#observer.onFailed(error);
        await this.#failed(batch, error);
        continue;
      }
      this.#observer.onLogged(batch.length);
      for (const { from } of batch) this.#done(from, undefined);
    }
  }

  /** Those that nobody waits for are tried again, in their order: the buffer is the limit. */
  async #failed(batch: readonly Encoded[], error: unknown): Promise<void> {
    for (const { from } of batch) if (from.failed !== undefined) this.#done(from, error);
    this.#again = [...batch.filter(({ from }) => from.failed === undefined), ...this.#again];
    await this.#pause(retryMs, false);
  }

  /** The next records of what waits, a few in each turn of the event loop. */
  async #encode(): Promise<Encoded[]> {
    const batch = this.#again.splice(0, maxAppend);
    let inTurn = 0;
    let taken = 0;
    while (batch.length < maxAppend && taken < this.#waiting.length) {
      const from = this.#waiting[taken] as Waiting;
      const to = Math.min(from.count, from.next + Math.min(encodedAtOnce - inTurn, maxAppend - batch.length));
      const records = this.#recordsOf(from, to);
      inTurn += to - from.next;
      from.next = to;
      if (from.next === from.count) taken++;
      for (const record of records) {
        if ((record.value?.byteLength ?? 0) + (record.key?.byteLength ?? 0) > maxRecordBytes) this.#tooLarge(from);
        else batch.push({ record, from });
      }
      if (inTurn < encodedAtOnce) continue;
      inTurn = 0;
      await nextTurn();
    }
    this.#waiting.splice(0, taken);
    return batch;
  }

  /** The records of rows up to a place; none where they cannot be encoded, such as a text that is none. */
  #recordsOf(from: Waiting, to: number): NewRecord[] {
    try {
      return from.rows.records(from.next, to);
    } catch (error) {
      this.#observer.onFailed(error);
      this.#observer.onDropped(to - from.next, "NOT_ENCODED");
      for (let row = from.next; row < to; row++) this.#done(from, error);
      return [];
    }
  }

  #tooLarge(from: Waiting): void {
    this.#observer.onDropped(1, "TOO_LARGE");
    this.#done(from, new PredictionTooLargeError());
  }

  /** One row of these is in the log, or never will be. */
  #done(from: Waiting, error: unknown): void {
    from.left--;
    this.#buffered--;
    if (error !== undefined) from.failed?.(error);
    if (from.left > 0) return;
    this.#bufferedBytes -= from.rows.bytes;
    from.logged?.();
  }

  /** @param hurried whether it ends early where someone waits, or much does. */
  async #pause(ms: number, hurried = true): Promise<void> {
    if (hurried && this.#closing) return;
    await new Promise<void>((resolve) => {
      const end = () => {
        clearTimeout(timer);
        this.#hurry = undefined;
        resolve();
      };
      const timer = setTimeout(end, ms);
      if (hurried) this.#hurry = end;
    });
  }
}

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

const stoppedError = () =>
  new MillraceError("UNAVAILABLE", Reason.STOPPING, "The service stopped before the prediction was logged.");
