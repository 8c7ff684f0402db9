import { type Prospect, QueueGroup, type Waiting } from "./queue-group.ts";
import { type BatchingOptions, levelOf, policyOf, QueueFullError, timeoutMsOf } from "./queue-policy.ts";

/** Why a batch was closed with the requests that it has. */
export type CloseReason =
  /** It has as many rows as a batch may have. */
  | "FULL"
  /** The next request of its shape would make it larger than a batch may be. */
  | "NEXT_TOO_LARGE"
  /** With another request it would run longer than the callers of those in it wait. */
  | "DEADLINE_NEAR"
  /** Nothing else of its shape waits, and none may be waited for. */
  | "QUEUE_EMPTY"
  /** Its rows are a preferred number. */
  | "PREFERRED_SIZE"
  /** Its oldest request has waited as long as it may. */
  | "DELAY_ELAPSED"
  /** The model joins no requests. */
  | "UNBATCHED"
  /** The queue is being drained. */
  | "DRAINING";

/** A request in the queue. */
export interface Queued {
  /** Its rows along the batch axis. 0 is possible, and counts as 1 in the queue's size. */
  readonly rows: number;
  /** Only requests of one group can be joined: the same inputs, and the same shapes without the batch axis. */
  readonly group: string;
  /** When its caller stops waiting, in ms of the clock. */
  readonly expiresAtMs: number | undefined;
  /** 1 is the highest. Where it is none of the queue's levels it is the default one. */
  readonly priority?: number | undefined;
  /** The longest time that it asks to wait, in ms; heard where its level's policy allows it. */
  readonly timeoutMs?: number | undefined;
}

export interface Batch<T> {
  readonly requests: readonly T[];
  readonly rows: number;
  readonly closed: CloseReason;
}

/** Requests whose time is over. */
export interface Swept<T> {
  /** Those whose callers no longer wait. They left the queue, and are never run. */
  readonly expired: readonly T[];
  /** Those that waited longer than the policy of their level lets them. They left the queue, and are never run. */
  readonly timedOut: readonly T[];
  /** Those that waited too long and wait on, behind others. */
  readonly delayed: readonly T[];
}

/** What to do now: run a batch, or look again at a time, or nothing until a request comes. */
export interface Take<T> extends Swept<T> {
  readonly batch: Batch<T> | undefined;
  /** When to call again, in ms of the clock, where a request waits for company. */
  readonly lookAgainAtMs: number | undefined;
}

/**
 * The queue of a model, and how its requests are joined into batches.
 *
 *     offer ──▶ [ group A: level 1: r5      level 2: r1 r2 ]  ──▶ take (a worker is free) ──▶ batch of the group whose
 *               [ group B: level 2: r3 ]                          first request is first: level, then age
 *
 * With no delay set nothing ever waits for company: a batch is what came while the workers were busy, so that it grows
 * with the load by itself. Higher levels go first; first in, first out within a level, by group and among groups. It
 * starts no timer and runs nothing: its owner calls `take` when a worker is free, when a request comes, and when
 * `lookAgainAtMs` says; and `sweep` where requests are to be told of their timeout while no worker is free.
 */
export class DynamicBatching<T extends Queued> {
  readonly #options: BatchingOptions;
  readonly #preferred: readonly number[];
  readonly #nowMs: () => number;
  readonly #runMs: ((rows: number) => number | undefined) | undefined;
  readonly #groups = new Map<string, QueueGroup<T>>();
  /** By level: requests and rows that wait. */
  readonly #requests: number[];
  readonly #rows: number[];
  #waiting = 0;
  #waitingRows = 0;
  #order = 0;
  #draining = false;
  /** No request's time is over before these, in ms of the clock: of its caller, or of its policy. */
  #nextExpiryMs = Infinity;
  #nextTimeoutMs = Infinity;

  /**
   * @param nowMs the clock, in ms; any origin, never going back.
   * @param runMs how long a run of so many rows takes, as far as it is known, in ms: batches are kept short enough for the
   *   deadlines of those in them, and what would be late even by itself is dropped where others wait.
   */
  constructor(options: BatchingOptions, nowMs: () => number, runMs?: (rows: number) => number | undefined) {
    this.#runMs = runMs;
    const levels = Math.max(1, options.priorityLevels ?? 0);
    this.#options = options;
    this.#preferred = options.preferredBatchSizes ?? [];
    this.#nowMs = nowMs;
    this.#requests = Array.from({ length: levels }, () => 0);
    this.#rows = Array.from({ length: levels }, () => 0);
  }

  /** Rows that wait. */
  get waitingRows(): number {
    return this.#waitingRows;
  }

  /** Requests that wait. */
  get waiting(): number {
    return this.#waiting;
  }

  /** Rows that wait and would run before a request of this priority that comes now. */
  rowsAhead(priority: number | undefined): number {
    const level = levelOf(this.#options, priority);
    let rows = 0;
    for (let higher = 0; higher <= level; higher++) rows += this.#rows[higher] ?? 0;
    return rows;
  }

  /** A time before which `sweep` has nothing to tell of the policies' timeouts, in ms of the clock. */
  get nextTimeoutMs(): number {
    return this.#waiting === 0 ? Infinity : this.#nextTimeoutMs;
  }

  /**
   * Takes a request into the queue.
   * @param retryAfterMs what a refused caller is told to wait.
   * @throws QueueFullError when its rows would make the queue longer than it may be, or it would be one too many of its
   *   level. A queue that is empty takes a request of any size.
   */
  offer(entry: T, retryAfterMs = 100): void {
    const rows = countedRows(entry);
    const { maxQueueSize } = this.#options;
    if (this.#waiting > 0 && this.#waitingRows + rows > maxQueueSize) {
      const text = `${this.#waitingRows} rows wait, and at most ${maxQueueSize} may`;
      throw new QueueFullError(text, this.#waitingRows, maxQueueSize, retryAfterMs);
    }
    const level = levelOf(this.#options, entry.priority);
    const policy = policyOf(this.#options, level);
    const ofLevel = this.#requests[level] ?? 0;
    if (policy.maxQueueSize > 0 && ofLevel >= policy.maxQueueSize) {
      const which = this.#requests.length === 1 ? "" : ` of priority ${level + 1}`;
      const text = `${ofLevel} requests${which} wait, and at most ${policy.maxQueueSize} may`;
      throw new QueueFullError(text, ofLevel, policy.maxQueueSize, retryAfterMs);
    }
    const offeredAtMs = this.#nowMs();
    const timesOutAtMs = offeredAtMs + timeoutMsOf(policy, entry.timeoutMs);
    let group = this.#groups.get(entry.group);
    if (group === undefined) {
      group = new QueueGroup(this.#requests.length);
      this.#groups.set(entry.group, group);
    }
    const expiresAtMs = entry.expiresAtMs ?? Infinity;
    group.push({ entry, rows: entry.rows, level, offeredAtMs, order: this.#order++, expiresAtMs, timesOutAtMs });
    this.#requests[level] = ofLevel + 1;
    this.#rows[level] = (this.#rows[level] ?? 0) + rows;
    this.#waitingRows += rows;
    this.#waiting++;
    if (expiresAtMs < this.#nextExpiryMs) this.#nextExpiryMs = expiresAtMs;
    if (timesOutAtMs < this.#nextTimeoutMs) this.#nextTimeoutMs = timesOutAtMs;
  }

  /** Removes a request whose caller gave up. False where it no longer waits. */
  remove(entry: T): boolean {
    const group = this.#groups.get(entry.group);
    const waiting = group?.remove(entry);
    if (group === undefined || waiting === undefined) return false;
    this.#forget(waiting);
    if (group.count === 0) this.#groups.delete(entry.group);
    return true;
  }

  /** From now on no request waits for company. */
  drain(): void {
    this.#draining = true;
  }

  /** Takes everything out, delays or not: for when no worker is left that could run it. */
  clear(): T[] {
    const cleared: T[] = [];
    for (const [, group] of this.#groupsInOrder()) {
      for (const waiting of group.take(group.count)) {
        this.#forget(waiting);
        cleared.push(waiting.entry);
      }
    }
    this.#groups.clear();
    return cleared;
  }

  /** Called when a worker is free. The first group that need not wait for company gives the batch. */
  take(): Take<T> {
    const nowMs = this.#nowMs();
    // One that waits alone is run all the same: it is by runs that a wrong estimate mends.
    const swept = this.#sweep(nowMs, this.#waiting > 1 ? (this.#runMs?.(1) ?? 0) : 0);
    let lookAgainAtMs: number | undefined;
    for (const [name, group] of this.#groupsInOrder()) {
      const close = this.#close(group, nowMs);
      if (typeof close === "number") {
        lookAgainAtMs = Math.min(lookAgainAtMs ?? close, close);
        continue;
      }
      const taken = group.take(close.count);
      for (const waiting of taken) this.#forget(waiting);
      if (group.count === 0) this.#groups.delete(name);
      const batch = { requests: taken.map(({ entry }) => entry), rows: close.rows, closed: close.reason };
      return { ...swept, batch, lookAgainAtMs: undefined };
    }
    return { ...swept, batch: undefined, lookAgainAtMs };
  }

  /** Drops the requests whose time is over, and puts the late ones behind the others. */
  sweep(): Swept<T> {
    return this.#sweep(this.#nowMs(), 0);
  }

  /** How a group's next batch is closed now, or when it will be at the latest. */
  #close(group: QueueGroup<T>, nowMs: number): { reason: CloseReason; rows: number; count: number } | number {
    const { maxBatchSize, maxQueueDelayMs } = this.#options;
    const prospect = group.prospect(maxBatchSize, this.#preferred, this.#endsAtMs(nowMs));
    const { count, rows, complete } = prospect;
    if (complete !== undefined) return { reason: maxBatchSize === 1 ? "UNBATCHED" : complete, rows, count };
    if (this.#draining) return { reason: "DRAINING", rows, count };
    if (maxQueueDelayMs <= 0) return { reason: "QUEUE_EMPTY", rows, count };
    const dueAtMs = group.oldestAtMs + maxQueueDelayMs;
    if (dueAtMs <= nowMs) return { reason: "DELAY_ELAPSED", rows, count };
    return this.#preferredClose(prospect) ?? dueAtMs;
  }

  /** Only where the largest batch might end after a deadline that waits: else deadlines need no look. */
  #endsAtMs(nowMs: number): ((rows: number) => number) | undefined {
    if (this.#nextExpiryMs === Infinity) return undefined;
    const longestMs = this.#runMs?.(Math.min(this.#options.maxBatchSize, this.#waitingRows));
    if (longestMs === undefined || nowMs + longestMs <= this.#nextExpiryMs) return undefined;
    return (rows) => nowMs + (this.#runMs?.(rows) ?? 0);
  }

  /**
   * A preferred number of rows ends the wait. Where larger requests stepped over it, there is no more to wait for either,
   * and all of them go.
   */
  #preferredClose(prospect: Prospect): { reason: CloseReason; rows: number; count: number } | undefined {
    const { count, rows, preferredCount, preferredRows } = prospect;
    if (preferredCount > 0) return { reason: "PREFERRED_SIZE", rows: preferredRows, count: preferredCount };
    return this.#preferred.some((size) => size <= rows) ? { reason: "PREFERRED_SIZE", rows, count } : undefined;
  }

  #groupsInOrder(): Iterable<readonly [string, QueueGroup<T>]> {
    if (this.#groups.size < 2) return this.#groups;
    return [...this.#groups]
      .map(([name, group]) => ({ name, group, front: group.front }))
      .sort((a, b) => a.front[0] - b.front[0] || a.front[1] - b.front[1])
      .map(({ name, group }) => [name, group] as const);
  }

  /** @param neededMs what a request needs at least to be answered: one that has less left is dropped as well. */
  #sweep(nowMs: number, neededMs: number): Swept<T> {
    if (nowMs + neededMs < this.#nextExpiryMs && nowMs < this.#nextTimeoutMs) return nothingSwept;
    const expired: T[] = [];
    const timedOut: T[] = [];
    const delayed: T[] = [];
    this.#nextExpiryMs = Infinity;
    this.#nextTimeoutMs = Infinity;
    for (const [name, group] of this.#groups) {
      group.sort((waiting, isLate) => {
        const { entry, level, expiresAtMs, timesOutAtMs } = waiting;
        if (expiresAtMs <= nowMs + neededMs) {
          this.#forget(waiting);
          expired.push(entry);
          return "DROP";
        }
        this.#nextExpiryMs = Math.min(this.#nextExpiryMs, expiresAtMs);
        if (isLate) return "KEEP";
        if (timesOutAtMs > nowMs) {
          this.#nextTimeoutMs = Math.min(this.#nextTimeoutMs, timesOutAtMs);
          return "KEEP";
        }
        if (policyOf(this.#options, level).timeoutAction === "DELAY") {
          delayed.push(entry);
          return "DELAY";
        }
        this.#forget(waiting);
        timedOut.push(entry);
        return "DROP";
      });
      if (group.count === 0) this.#groups.delete(name);
    }
    return { expired, timedOut, delayed };
  }

  #forget({ entry, level }: Waiting<T>): void {
    const rows = countedRows(entry);
    this.#requests[level] = (this.#requests[level] ?? 0) - 1;
    this.#rows[level] = (this.#rows[level] ?? 0) - rows;
    this.#waitingRows -= rows;
    this.#waiting--;
  }
}

const nothingSwept = { expired: [], timedOut: [], delayed: [] };

const countedRows = ({ rows }: Queued): number => Math.max(1, rows);
