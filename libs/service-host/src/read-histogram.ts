import { Histogram, type MetricType, type Registry } from "prom-client";

/** Durations, counted by bounds. Plain numbers: the hot path adds, and metrics read. */
export class DurationHistogram {
  readonly #boundsNs: readonly number[];
  readonly #counts: Float64Array;

  /** @param bounds the upper bounds, in seconds, the lowest first. */
  constructor(bounds: readonly number[]) {
    this.#boundsNs = bounds.map((seconds) => seconds * 1e9);
    this.#counts = new Float64Array(bounds.length + 1);
  }

  add(ns: number): void {
    let index = 0;
    while (index < this.#boundsNs.length && ns > (this.#boundsNs[index] as number)) index++;
    this.#counts[index] = (this.#counts[index] as number) + 1;
  }

  /** How many took at most each of the bounds, and how many there are. */
  cumulative(): number[] {
    let sum = 0;
    return Array.from(this.#counts, (count) => {
      sum += count;
      return sum;
    });
  }
}

/** One series of a histogram, as it is read. */
export interface ReadSeries {
  readonly labels: Readonly<Record<string, string>>;
  /** Upper bounds in the metric's unit, and how many were at most that. */
  readonly buckets: readonly (readonly [bound: number, count: number])[];
  readonly count: number;
  readonly sum: number;
}

/** A Prometheus histogram that is read from plain numbers when it is asked for: observing costs the hot path one addition. */
export class ReadHistogram extends Histogram<string> {
  readonly #head: { readonly name: string; readonly help: string };
  readonly #read: () => readonly ReadSeries[];

  constructor(
    registry: Registry,
    head: { readonly name: string; readonly help: string; readonly labelNames: readonly string[] },
    read: () => readonly ReadSeries[],
  ) {
    super({ ...head, registers: [registry] });
    this.#head = head;
    this.#read = read;
  }

  override async get(): ReturnType<Histogram<string>["get"]> {
    const { name, help } = this.#head;
    const values = this.#read().flatMap(({ labels, buckets, count, sum }) => [
      ...buckets.map(([bound, value]) => ({ metricName: `${name}_bucket`, labels: { ...labels, le: bound }, value })),
      { metricName: `${name}_bucket`, labels: { ...labels, le: "+Inf" }, value: count },
      { metricName: `${name}_sum`, labels, value: sum },
      { metricName: `${name}_count`, labels, value: count },
    ]);
    // The library declares an enumeration that it does not have, and writes the word.
    const type = "histogram" as unknown as MetricType;
    return { name, help, type, aggregator: "sum", collect() {}, values };
  }

  /** What the registry asks a histogram for, in a form of its own; the usual one does as well. */
  getForPromString(): ReturnType<Histogram<string>["get"]> {
    return this.get();
  }
}
