/** A request that waits. */
export interface Waiting<T> {
  readonly entry: T;
  readonly rows: number;
  /** From 0 for the highest. */
  readonly level: number;
  readonly offeredAtMs: number;
  /** Of its arrival. */
  readonly order: number;
  /** When its caller stops waiting, in ms of the clock; Infinity: never. */
  readonly expiresAtMs: number;
  /** When it has waited too long, in ms of the clock; Infinity: never. */
  readonly timesOutAtMs: number;
}

/** What a batch of the group could be now. */
export interface Prospect {
  /** Requests from the front that fit into one batch, and their rows. */
  readonly count: number;
  readonly rows: number;
  /** Why the batch cannot grow, where it cannot. */
  readonly complete: "FULL" | "NEXT_TOO_LARGE" | "DEADLINE_NEAR" | undefined;
  /** The longest run of requests from the front whose rows are a preferred number; 0 where there is none. */
  readonly preferredCount: number;
  readonly preferredRows: number;
}

/**
 * The requests of one shape that wait, in the order in which they are to run: by level, within a level those that are
 * not late before those that are, and then as they came.
 */
export class QueueGroup<T> {
  /** Two for each level: those on time, those that are late. */
  readonly #lists: Waiting<T>[][];
  #count = 0;

  constructor(levels: number) {
    this.#lists = Array.from({ length: 2 * levels }, () => []);
  }

  get count(): number {
    return this.#count;
  }

  push(waiting: Waiting<T>): void {
    this.#lists[2 * waiting.level]?.push(waiting);
    this.#count++;
  }

  remove(entry: T): Waiting<T> | undefined {
    for (const list of this.#lists) {
      const index = list.findIndex((waiting) => waiting.entry === entry);
      if (index < 0) continue;
      this.#count--;
      return list.splice(index, 1)[0];
    }
    return undefined;
  }

  /** Takes from the front. */
  take(count: number): Waiting<T>[] {
    const taken: Waiting<T>[] = [];
    for (const list of this.#lists) {
      if (taken.length === count) break;
      if (list.length > 0) taken.push(...list.splice(0, count - taken.length));
    }
    this.#count -= taken.length;
    return taken;
  }

  /** The place of its first request among those of all groups: compared number by number, the smallest goes first. */
  get front(): readonly [list: number, order: number] {
    for (const [index, list] of this.#lists.entries()) {
      const [first] = list;
      if (first !== undefined) return [index, first.order];
    }
    return [Infinity, Infinity];
  }

  /** When its oldest request came, in ms; one that is late has waited long enough: -Infinity. */
  get oldestAtMs(): number {
    let oldest = Infinity;
    for (let index = 0; index < this.#lists.length; index++) {
      const first = this.#lists[index]?.[0];
      if (first !== undefined) oldest = Math.min(oldest, index % 2 === 1 ? -Infinity : first.offeredAtMs);
    }
    return oldest;
  }

  /**
   * @param endsAtMs when a run of so many rows that starts now would end, in ms of the clock: the batch does not grow
   *   beyond what lets those in it be answered in time. Without it deadlines do not count.
   */
  prospect(maxBatchSize: number, preferred: readonly number[], endsAtMs?: (rows: number) => number): Prospect {
    let earliestMs = Infinity;
    let count = 0;
    let rows = 0;
    let preferredCount = 0;
    let preferredRows = 0;
    for (const list of this.#lists) {
      for (const waiting of list) {
        if (count > 0 && rows + waiting.rows > maxBatchSize) {
          return { count, rows, complete: "NEXT_TOO_LARGE", preferredCount, preferredRows };
        }
        if (endsAtMs !== undefined) {
          const endMs = endsAtMs(rows + waiting.rows);
          if (count > 0 && endMs > earliestMs) {
            return { count, rows, complete: "DEADLINE_NEAR", preferredCount, preferredRows };
          }
          // Nobody waits for company less because of one that will be late anyway.
          if (waiting.expiresAtMs >= endMs && waiting.expiresAtMs < earliestMs) earliestMs = waiting.expiresAtMs;
        }
        rows += waiting.rows;
        count++;
        if (rows >= maxBatchSize) return { count, rows, complete: "FULL", preferredCount, preferredRows };
        if (preferred.length > 0 && preferred.includes(rows)) {
          preferredCount = count;
          preferredRows = rows;
        }
      }
    }
    return { count, rows, complete: undefined, preferredCount, preferredRows };
  }

  /**
   * Looks at each request.
   * @param fate `"DROP"` removes it, `"DELAY"` puts it behind those of its level that are not late.
   */
  sort(fate: (waiting: Waiting<T>, isLate: boolean) => "KEEP" | "DROP" | "DELAY"): void {
    for (let index = 0; index < this.#lists.length; index += 2) {
      const late = this.#lists[index + 1]?.filter((waiting) => fate(waiting, true) !== "DROP") ?? [];
      const onTime: Waiting<T>[] = [];
      for (const waiting of this.#lists[index] ?? []) {
        const outcome = fate(waiting, false);
        if (outcome === "KEEP") onTime.push(waiting);
        else if (outcome === "DELAY") late.push(waiting);
      }
      late.sort((a, b) => a.order - b.order);
      this.#lists[index] = onTime;
      this.#lists[index + 1] = late;
    }
    this.#count = this.#lists.reduce((sum, list) => sum + list.length, 0);
  }
}
