/** After this time without any run an estimate is worth half: a slow phase is forgotten. */
const halfLifeMs = 2000;
/** What was measured so much earlier than the latest run tells nothing beside it. */
const freshMs = 2000;
/** What one measurement counts against those before it. */
const weight = 1 / 4;
const backlogWeight = 1 / 16;

interface Measured {
  /** The mean number of rows of the runs that were measured. */
  rows: number;
  ms: number;
  atMs: number;
}

/**
 * How long a run of so many rows takes, from the runs that were: a rolling mean for each power of two of rows. What was
 * never measured is bounded by what was: a run of more rows takes no longer than several of fewer.
 */
export class RunTimeEstimate {
  /** By the number of binary digits of the rows. */
  readonly #measured: (Measured | undefined)[] = [];
  #latestMs = 0;
  /** Time and rows of late, each batch from its start to the start of the next, while there always was a next. */
  #backlogMs = 0;
  #backlogRows = 0;
  #backlogAtMs = 0;

  /** Records a run. Times in ms of one clock. */
  ran(rows: number, ms: number, nowMs: number): void {
    const size = sizeOf(rows);
    const measured = this.#measured[size];
    this.#latestMs = nowMs;
    if (measured === undefined) {
      this.#measured[size] = { rows: Math.max(1, rows), ms, atMs: nowMs };
      return;
    }
    measured.ms += (ms - measured.ms) * weight;
    measured.rows += (Math.max(1, rows) - measured.rows) * weight;
    measured.atMs = nowMs;
  }

  /**
   * Records what an instance got done under a backlog: a batch of so many rows, and the time until its next one began. It
   * has in it what runs by themselves do not: how large batches really are, and the time between them.
   */
  worked(rows: number, ms: number, nowMs: number): void {
    if (nowMs - this.#backlogAtMs > freshMs) {
      this.#backlogMs = 0;
      this.#backlogRows = 0;
    }
    this.#backlogMs = this.#backlogMs * (1 - backlogWeight) + ms;
    this.#backlogRows = this.#backlogRows * (1 - backlogWeight) + Math.max(1, rows);
    this.#backlogAtMs = nowMs;
  }

  /** The time of one run, in ms; undefined where nothing was measured. */
  runMs(rows: number, nowMs: number): number | undefined {
    const size = sizeOf(rows);
    let least = Infinity;
    for (let smaller = 0; smaller <= size; smaller++) {
      const measured = this.#fresh(smaller);
      if (measured !== undefined) least = Math.min(least, measured.ms * Math.max(1, rows / measured.rows));
    }
    for (let larger = size + 1; least === Infinity && larger < this.#measured.length; larger++) {
      const measured = this.#fresh(larger);
      if (measured !== undefined) least = (measured.ms * rows) / measured.rows;
    }
    return least === Infinity ? undefined : least * this.#worth(nowMs);
  }

  /**
   * The time that a run takes at least, in ms: that of fewer rows, where so many were not measured lately. A batch of
   * many rows often costs hardly more than one of few, and nothing may be refused for what was never seen.
   */
  leastRunMs(rows: number, nowMs: number): number | undefined {
    const size = sizeOf(rows);
    let least: number | undefined;
    for (let smaller = 0; smaller <= size; smaller++) {
      const measured = this.#fresh(smaller);
      if (measured !== undefined) least = Math.max(least ?? 0, measured.ms * Math.min(1, rows / measured.rows));
    }
    for (let larger = size + 1; least === undefined && larger < this.#measured.length; larger++) {
      const measured = this.#fresh(larger);
      if (measured !== undefined) least = (measured.ms * rows) / measured.rows;
    }
    return least === undefined ? undefined : least * this.#worth(nowMs);
  }

  /** What is left of a measurement's weight after a time without runs. */
  #worth(nowMs: number): number {
    const idleMs = nowMs - this.#latestMs;
    return idleMs < halfLifeMs / 8 ? 1 : 2 ** (-idleMs / halfLifeMs);
  }

  #fresh(size: number): Measured | undefined {
    const measured = this.#measured[size];
    return measured === undefined || this.#latestMs - measured.atMs > freshMs ? undefined : measured;
  }

  /**
   * The time until the last of so many rows is answered by so many instances that take full batches, in ms: at least
   * what their runs take, and what rows really took under a backlog, as long as that is fresh.
   */
  workMs(rows: number, maxBatchSize: number, instances: number, nowMs: number): number | undefined {
    const batches = Math.max(1, Math.ceil(rows / maxBatchSize));
    const lastMs = this.leastRunMs(Math.max(1, rows - (batches - 1) * maxBatchSize), nowMs);
    if (lastMs === undefined) return undefined;
    const fullMs = this.leastRunMs(maxBatchSize, nowMs) ?? lastMs;
    const byRunsMs = ((batches - 1) * fullMs) / Math.max(1, instances) + lastMs;
    if (this.#backlogRows === 0 || nowMs - this.#backlogAtMs > freshMs) return byRunsMs;
    return Math.max(byRunsMs, (rows * this.#backlogMs) / this.#backlogRows / Math.max(1, instances));
  }
}

const sizeOf = (rows: number): number => 32 - Math.clz32(Math.max(1, rows) - 1);
