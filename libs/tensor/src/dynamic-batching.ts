import { MillraceError, Reason } from "@millrace/errors";

/** Thrown when a request would make the queue of a model longer than it may be. */
export class QueueFullError extends MillraceError {
  constructor(waiting: number, maxQueueSize: number, retryAfterMs: number) {
    super(
      "RESOURCE_EXHAUSTED",
      Reason.OVERLOADED,
      `The model's queue is full: ${waiting} rows wait, and at most ${maxQueueSize} may.`,
      { retryAfterMs, metadata: { waiting: String(waiting), maxQueueSize: String(maxQueueSize) } },
    );
  }
}

/** Why a batch was closed with the requests that it has. */
export type CloseReason =
  /** It has as many rows as a batch may have. */
  | "FULL"
  /** The next request of its shape would make it larger than a batch may be. */
  | "NEXT_TOO_LARGE"
  /** Nothing else of its shape waits, and none may be waited for. */
  | "QUEUE_EMPTY"
  /** Its oldest request has waited as long as it may. */
  | "DELAY_ELAPSED"
  /** The model joins no requests. */
  | "UNBATCHED"
  /** The queue is being drained. */
  | "DRAINING";

export interface BatchingOptions {
  /** Most rows in one batch; 1 joins nothing. */
  readonly maxBatchSize: number;
  /** Longest time that the oldest request waits for company, in ms. 0: none waits. */
  readonly maxQueueDelayMs: number;
  /** Most rows that wait. */
  readonly maxQueueSize: number;
}

/** A request in the queue. */
export interface Queued {
  /** Its rows along the batch axis. 0 is possible, and counts as 1 in the queue's size. */
  readonly rows: number;
  /** Only requests of one group can be joined: the same inputs, and the same shapes without the batch axis. */
  readonly group: string;
  /** When its caller stops waiting, in ms of the clock. */
  readonly expiresAtMs: number | undefined;
}

export interface Batch<T> {
  readonly requests: readonly T[];
  readonly rows: number;
  readonly closed: CloseReason;
}

/** What to do now: run a batch, or look again at a time, or nothing until a request comes. */
export interface Take<T> {
  readonly batch: Batch<T> | undefined;
  /** Requests that were dropped because their time is over. They are answered with DEADLINE_EXCEEDED, and never run. */
  readonly expired: readonly T[];
  /** When to call again, in ms of the clock, where a request waits for company. */
  readonly lookAgainAtMs: number | undefined;
}

/**
 * The queue of a model, and how its requests are joined into batches.
 *
 *     offer ──▶ [ group A: r1 r2 r4 ]  ──▶ take (a worker is free) ──▶ batch of the group whose oldest request is oldest
 *               [ group B: r3 ]
 *
 * With no delay set nothing ever waits for company: a batch is what came while the workers were busy, so that it grows
 * with the load by itself. First in, first out, by group and among groups. It starts no timer and runs nothing: its owner
 * calls `take` when a worker is free, when a request comes, and when `lookAgainAtMs` says.
 */
export class DynamicBatching<T extends Queued> {
  readonly #options: BatchingOptions;
  readonly #nowMs: () => number;
  readonly #groups = new Map<string, Group<T>>();
  #waitingRows = 0;
  #waiting = 0;
  #order = 0;
  #draining = false;

  /** @param nowMs the clock, in ms; any origin, never going back. */
  constructor(options: BatchingOptions, nowMs: () => number) {
    this.#options = options;
    this.#nowMs = nowMs;
  }

  /** Rows that wait. */
  get waitingRows(): number {
    return this.#waitingRows;
  }

  /** Requests that wait. */
  get waiting(): number {
    return this.#waiting;
  }

  /**
   * Takes a request into the queue.
   * @param retryAfterMs what a refused caller is told to wait.
   * @throws QueueFullError when its rows would make the queue longer than it may be. A queue that is empty takes any.
   */
  offer(entry: T, retryAfterMs = 100): void {
    const rows = Math.max(1, entry.rows);
    if (this.#waiting > 0 && this.#waitingRows + rows > this.#options.maxQueueSize) {
      throw new QueueFullError(this.#waitingRows, this.#options.maxQueueSize, retryAfterMs);
    }
    const queued = { entry, offeredAtMs: this.#nowMs(), order: this.#order++ };
    const group = this.#groups.get(entry.group);
    if (group === undefined) this.#groups.set(entry.group, [queued]);
    else group.push(queued);
    this.#waitingRows += rows;
    this.#waiting++;
  }

  /** Removes a request whose caller gave up. False where it no longer waits. */
  remove(entry: T): boolean {
    const group = this.#groups.get(entry.group);
    const index = group?.findIndex((queued) => queued.entry === entry) ?? -1;
    if (group === undefined || index < 0) return false;
    group.splice(index, 1);
    this.#forget(entry);
    if (group.length === 0) this.#groups.delete(entry.group);
    return true;
  }

  /** From now on no request waits for company. */
  drain(): void {
    this.#draining = true;
  }

  /** Called when a worker is free. The oldest group that need not wait for company goes first. */
  take(): Take<T> {
    const nowMs = this.#nowMs();
    const expired = this.#dropExpired(nowMs);
    let lookAgainAtMs: number | undefined;
    for (const group of this.#groupsByAge()) {
      const close = this.#close(group, nowMs);
      if (typeof close !== "number") {
        const requests = group.splice(0, close.count).map(({ entry }) => entry);
        for (const request of requests) this.#forget(request);
        const [first] = requests;
        if (group.length === 0 && first !== undefined) this.#groups.delete(first.group);
        return { batch: { requests, rows: close.rows, closed: close.reason }, expired, lookAgainAtMs: undefined };
      }
      lookAgainAtMs = Math.min(lookAgainAtMs ?? close, close);
    }
    return { batch: undefined, expired, lookAgainAtMs };
  }

  /** How a group's next batch is closed now, or when it will be at the latest. */
  #close(group: Group<T>, nowMs: number): { reason: CloseReason; rows: number; count: number } | number {
    const { maxBatchSize, maxQueueDelayMs } = this.#options;
    let rows = 0;
    let count = 0;
    for (const { entry } of group) {
      if (count > 0 && rows + entry.rows > maxBatchSize) return { reason: "NEXT_TOO_LARGE", rows, count };
      rows += entry.rows;
      count++;
      if (rows >= maxBatchSize) return { reason: maxBatchSize === 1 ? "UNBATCHED" : "FULL", rows, count };
    }
    if (this.#draining) return { reason: "DRAINING", rows, count };
    if (maxQueueDelayMs <= 0) return { reason: "QUEUE_EMPTY", rows, count };
    const dueAtMs = (group[0]?.offeredAtMs ?? nowMs) + maxQueueDelayMs;
    return dueAtMs <= nowMs ? { reason: "DELAY_ELAPSED", rows, count } : dueAtMs;
  }

  #groupsByAge(): readonly Group<T>[] {
    const groups = [...this.#groups.values()];
    return groups.length < 2 ? groups : groups.sort((a, b) => (a[0]?.order ?? 0) - (b[0]?.order ?? 0));
  }

  #dropExpired(nowMs: number): T[] {
    const expired: T[] = [];
    const over = ({ entry }: { entry: T }) => entry.expiresAtMs !== undefined && entry.expiresAtMs <= nowMs;
    for (const [name, group] of this.#groups) {
      if (!group.some(over)) continue;
      for (const queued of group) {
        if (!over(queued)) continue;
        this.#forget(queued.entry);
        expired.push(queued.entry);
      }
      const live = group.filter((queued) => !over(queued));
      if (live.length === 0) this.#groups.delete(name);
      else this.#groups.set(name, live);
    }
    return expired;
  }

  #forget(entry: T): void {
    this.#waitingRows -= Math.max(1, entry.rows);
    this.#waiting--;
  }
}

type Group<T> = { readonly entry: T; readonly offeredAtMs: number; readonly order: number }[];
