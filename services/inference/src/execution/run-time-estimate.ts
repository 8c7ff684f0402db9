/** After this time without a measurement an estimate is worth half: a slow phase is forgotten. */
const halfLifeMs = 2000;
/** What one measurement counts against those before it. */
const weight = 1 / 4;

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

  /** Records a run. Times in ms of one clock. */
  ran(rows: number, ms: number, nowMs: number): void {
    const size = sizeOf(rows);
    const measured = this.#measured[size];
    if (measured === undefined) {
      this.#measured[size] = { rows: Math.max(1, rows), ms, atMs: nowMs };
      return;
    }
    measured.ms += (ms - measured.ms) * weight;
    measured.rows += (Math.max(1, rows) - measured.rows) * weight;
    measured.atMs = nowMs;
  }

  /** The time of one run, in ms; undefined where nothing was measured. */
  runMs(rows: number, nowMs: number): number | undefined {
    const size = sizeOf(rows);
    let least: number | undefined;
    for (let smaller = 0; smaller <= size; smaller++) {
      const measured = this.#measured[smaller];
      if (measured === undefined) continue;
      const scaled = decayedMs(measured, nowMs) * Math.max(1, rows / measured.rows);
      least = Math.min(least ?? Infinity, scaled);
    }
    if (least !== undefined) return least;
    for (let larger = size + 1; larger < this.#measured.length; larger++) {
      const measured = this.#measured[larger];
      if (measured !== undefined) return (decayedMs(measured, nowMs) * rows) / measured.rows;
    }
    return undefined;
  }

  /** The time until the last of so many rows is answered by so many instances that take full batches, in ms. */
  workMs(rows: number, maxBatchSize: number, instances: number, nowMs: number): number | undefined {
    const batches = Math.max(1, Math.ceil(rows / maxBatchSize));
    const lastMs = this.runMs(Math.max(1, rows - (batches - 1) * maxBatchSize), nowMs);
    if (lastMs === undefined || batches === 1) return lastMs;
    const fullMs = this.runMs(maxBatchSize, nowMs) ?? lastMs;
    return ((batches - 1) * fullMs) / Math.max(1, instances) + lastMs;
  }
}

const sizeOf = (rows: number): number => 32 - Math.clz32(Math.max(1, rows) - 1);

const decayedMs = ({ ms, atMs }: Measured, nowMs: number): number => {
  const age = nowMs - atMs;
  return age < halfLifeMs / 8 ? ms : ms * 2 ** (-age / halfLifeMs);
};
