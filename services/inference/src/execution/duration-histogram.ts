/** Upper bounds of the histograms of durations, in seconds. */
export const durationBounds: readonly number[] = [
  0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10,
];

const boundsNs = durationBounds.map((seconds) => seconds * 1e9);

/** Durations, counted by bounds. Plain numbers: the hot path adds, and metrics read. */
export class DurationHistogram {
  readonly #counts = new Float64Array(boundsNs.length + 1);

  add(ns: number): void {
    let index = 0;
    while (index < boundsNs.length && ns > (boundsNs[index] as number)) index++;
    this.#counts[index] = (this.#counts[index] as number) + 1;
  }

  /** How many took at most each of `durationBounds`, and how many there are. */
  cumulative(): number[] {
    let sum = 0;
    return Array.from(this.#counts, (count) => {
      sum += count;
      return sum;
    });
  }
}
