import { toBinary } from "@bufbuild/protobuf";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import { type Prediction, PredictionSchema } from "@millrace/contracts/millrace/event/v1/event";
import type { EventLog, NewRecord } from "@millrace/event-log";

/** What the log tells of itself. */
export interface PredictionLogObserver {
  onLogged(count: number): void;
  onDropped(count: number, reason: "BUFFER_FULL" | "STOPPED"): void;
  onFailed(error: unknown): void;
}

export interface PredictionLogOptions {
  readonly topic: string;
  /** Most predictions that wait. */
  readonly maxBuffered: number;
  /** Longest time that closing may take to log what waits, in ms. */
  readonly closeLimitMs: number;
}

/** Most records in one append. */
const maxAppend = 500;
const retryMs = 200;

/** A record that waits, and who waits for it. */
interface Waiting {
  readonly record: NewRecord;
  readonly logged: (() => void) | undefined;
  readonly failed: ((error: unknown) => void) | undefined;
}

/**
 * The prediction log: each prediction is a CloudEvent in Kafka's binary mode. `offer` never waits and never fails: what
 * does not fit the buffer is dropped, and counted. `append` waits until the log has it. What comes while an append is
 * under way goes into the next one together.
 */
export class PredictionLog {
  readonly #log: EventLog;
  readonly #options: PredictionLogOptions;
  readonly #observer: PredictionLogObserver;
  #waiting: Waiting[] = [];
  #flushing: Promise<void> | undefined;
  #stopped = false;

  constructor(log: EventLog, options: PredictionLogOptions, observer: PredictionLogObserver) {
    this.#log = log;
    this.#options = options;
    this.#observer = observer;
  }

  /** Predictions that wait to be logged. */
  get buffered(): number {
    return this.#waiting.length;
  }

  /** Logs soon. */
  offer(predictions: readonly Prediction[]): void {
    const room = Math.max(0, this.#options.maxBuffered - this.#waiting.length);
    if (predictions.length > room) this.#observer.onDropped(predictions.length - room, "BUFFER_FULL");
    for (const prediction of predictions.slice(0, room)) {
      this.#waiting.push({ record: recordOf(prediction), logged: undefined, failed: undefined });
    }
    this.#beginFlush();
  }

  /** Logs now; resolves when the predictions are durable. @throws LogUnavailableError */
  async append(predictions: readonly Prediction[]): Promise<void> {
    const durable = predictions.map(
      (prediction) =>
        new Promise<void>((logged, failed) => {
          this.#waiting.push({ record: recordOf(prediction), logged, failed });
        }),
    );
    this.#beginFlush();
    await Promise.all(durable);
  }

  /** Logs what waits, as long as that may take; what is left then is dropped, and counted. */
  async close(): Promise<void> {
    const limit = setTimeout(() => {
      this.#stopped = true;
    }, this.#options.closeLimitMs);
    await this.#flushing;
    clearTimeout(limit);
    if (this.#waiting.length > 0) this.#observer.onDropped(this.#waiting.length, "STOPPED");
    this.#waiting = [];
  }

  #beginFlush(): void {
    this.#flushing ??= this.#flush().finally(() => {
      this.#flushing = undefined;
    });
  }

  /** Appends until nothing waits. */
  async #flush(): Promise<void> {
    // What comes in the same moment goes into the same append.
    await new Promise((resolve) => setImmediate(resolve));
    while (this.#waiting.length > 0 && !this.#stopped) {
      const batch = this.#waiting.splice(0, maxAppend);
      try {
        await this.#log.append(
          this.#options.topic,
          batch.map(({ record }) => record),
        );
        this.#observer.onLogged(batch.length);
        for (const { logged } of batch) logged?.();
      } catch (error) {
        this.#observer.onFailed(error);
        for (const { failed } of batch) failed?.(error);
        // Those that nobody waits for are tried again, in their order: the buffer is the limit.
        this.#waiting.unshift(...batch.filter(({ failed }) => failed === undefined));
        await new Promise((resolve) => setTimeout(resolve, retryMs));
      }
    }
  }
}

const utf8 = new TextEncoder();

const recordOf = (prediction: Prediction): NewRecord => ({
  key: utf8.encode(prediction.id),
  value: toBinary(PredictionSchema, prediction),
  headers: {
    ce_specversion: "1.0",
    ce_id: prediction.id,
    ce_source: `/millrace/inference/${prediction.model}`,
    ce_type: "io.millrace.prediction.v1",
    ce_subject: prediction.model,
    ...(prediction.answeredAt === undefined ? {} : { ce_time: timestampDate(prediction.answeredAt).toISOString() }),
    "content-type": "application/protobuf",
  },
});
