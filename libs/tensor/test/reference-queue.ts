import type { CloseReason } from "../src/dynamic-batching.ts";
import type { BatchingOptions } from "../src/queue-policy.ts";

export interface ReferenceRequest {
  readonly id: number;
  readonly rows: number;
  readonly group: string;
  readonly expiresAtMs: number | undefined;
  readonly priority: number | undefined;
  readonly timeoutMs: number | undefined;
}

interface Waiting {
  readonly request: ReferenceRequest;
  readonly level: number;
  readonly sinceMs: number;
  readonly timesOutAtMs: number;
  isLate: boolean;
}

/**
 * The obvious queue that the fast one is held to: one list, sorted anew for every question. Its words are those of the
 * options' documentation.
 */
export class ReferenceQueue {
  readonly #options: BatchingOptions;
  readonly #levels: number;
  #waiting: Waiting[] = [];

  constructor(options: BatchingOptions) {
    this.#options = options;
    this.#levels = options.priorityLevels ?? 0;
  }

  /** Whether it is taken. */
  offer(request: ReferenceRequest, nowMs: number): boolean {
    const { maxQueueSize, defaultPriorityLevel = this.#levels } = this.#options;
    const named = request.priority ?? 0;
    const level = this.#levels === 0 ? 0 : named >= 1 && named <= this.#levels ? named : defaultPriorityLevel;
    const policy = this.#policy(level);
    const rows = this.#waiting.map((waiting) => Math.max(1, waiting.request.rows)).reduce((a, b) => a + b, 0);
    if (this.#waiting.length > 0 && rows + Math.max(1, request.rows) > maxQueueSize) return false;
    const ofLevel = this.#waiting.filter((waiting) => waiting.level === level).length;
    if (policy !== undefined && policy.maxQueueSize > 0 && ofLevel >= policy.maxQueueSize) return false;
    const bounds = [policy?.defaultTimeoutMs, policy?.allowTimeoutOverride ? request.timeoutMs : undefined];
    const timeoutMs = Math.min(...bounds.filter((bound) => bound !== undefined && bound > 0).map(Number));
    this.#waiting.push({ request, level, sinceMs: nowMs, timesOutAtMs: nowMs + timeoutMs, isLate: false });
    return true;
  }

  remove(id: number): boolean {
    const before = this.#waiting.length;
    this.#waiting = this.#waiting.filter(({ request }) => request.id !== id);
    return this.#waiting.length < before;
  }

  /** Ids of those whose time is over. */
  sweep(nowMs: number): { expired: number[]; timedOut: number[]; delayed: number[] } {
    const expired: number[] = [];
    const timedOut: number[] = [];
    const delayed: number[] = [];
    for (const waiting of [...this.#waiting]) {
      const { id, expiresAtMs } = waiting.request;
      if (expiresAtMs !== undefined && expiresAtMs <= nowMs) {
        expired.push(id);
        this.remove(id);
      } else if (!waiting.isLate && waiting.timesOutAtMs <= nowMs) {
        if (this.#policy(waiting.level)?.timeoutAction === "DELAY") {
          waiting.isLate = true;
          delayed.push(id);
        } else {
          timedOut.push(id);
          this.remove(id);
        }
      }
    }
    return { expired, timedOut, delayed };
  }

  /** After a sweep: the ids of the batch that runs now. */
  batch(nowMs: number, draining: boolean): { ids: number[]; closed: CloseReason } | undefined {
    const order = this.#waiting
      .map((waiting, arrival) => ({ waiting, arrival }))
      .sort(
        (a, b) =>
          a.waiting.level - b.waiting.level ||
          Number(a.waiting.isLate) - Number(b.waiting.isLate) ||
          a.arrival - b.arrival,
      )
      .map(({ waiting }) => waiting);
    for (const group of new Set(order.map(({ request }) => request.group))) {
      const closed = this.#close(
        order.filter(({ request }) => request.group === group),
        nowMs,
        draining,
      );
      if (closed === undefined) continue;
      for (const id of closed.ids) this.remove(id);
      return closed;
    }
    return undefined;
  }

  #close(group: Waiting[], nowMs: number, draining: boolean): { ids: number[]; closed: CloseReason } | undefined {
    const { maxBatchSize, maxQueueDelayMs, preferredBatchSizes = [] } = this.#options;
    const rowsOf = (count: number) => group.slice(0, count).reduce((sum, { request }) => sum + request.rows, 0);
    const sizes = group.map((_, index) => index + 1);
    const fitting = sizes.filter((count) => count === 1 || rowsOf(count) <= maxBatchSize);
    // A full batch takes no further request, not even one of no rows.
    const full = sizes.find((count) => rowsOf(count) >= maxBatchSize);
    const most = full !== undefined && fitting.includes(full) ? full : Math.max(...fitting);
    const ids = (count: number) => group.slice(0, count).map(({ request }) => request.id);
    const isFull = rowsOf(most) >= maxBatchSize;
    if (isFull || most < group.length) {
      return { ids: ids(most), closed: maxBatchSize === 1 ? "UNBATCHED" : isFull ? "FULL" : "NEXT_TOO_LARGE" };
    }
    if (draining) return { ids: ids(most), closed: "DRAINING" };
    if (maxQueueDelayMs === 0) return { ids: ids(most), closed: "QUEUE_EMPTY" };
    if (group.some(({ sinceMs, isLate }) => isLate || sinceMs + maxQueueDelayMs <= nowMs)) {
      return { ids: ids(most), closed: "DELAY_ELAPSED" };
    }
    const exact = sizes.findLast((count) => preferredBatchSizes.includes(rowsOf(count)));
    if (exact !== undefined) return { ids: ids(exact), closed: "PREFERRED_SIZE" };
    const passed = preferredBatchSizes.some((size) => size <= rowsOf(most));
    return passed ? { ids: ids(most), closed: "PREFERRED_SIZE" } : undefined;
  }

  #policy(level: number) {
    return this.#options.levelQueuePolicies?.[Math.max(1, level)] ?? this.#options.queuePolicy;
  }
}
