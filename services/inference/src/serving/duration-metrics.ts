import { Histogram, type MetricType, type Registry } from "prom-client";
import { type DurationHistogram, durationBounds } from "../execution/duration-histogram.ts";
import type { CountedTime, ModelStatistics } from "../execution/model-statistics.ts";
import type { ModelRoster } from "./model-roster.ts";

interface Durations {
  readonly name: string;
  readonly help: string;
  /** The bounds that are shown, of those that are counted by, in seconds. */
  readonly bounds: readonly number[];
  /** What a second is in the metric's unit. */
  readonly perSecond: number;
  readonly of: (statistics: ModelStatistics) => { readonly histogram: DurationHistogram; readonly time: CountedTime };
}

/** A Prometheus histogram that is read from plain numbers when it is asked for: observing costs the hot path one addition. */
class ReadHistogram extends Histogram<"model" | "version"> {
  readonly #roster: ModelRoster;
  readonly #durations: Durations;

  constructor(registry: Registry, roster: ModelRoster, durations: Durations) {
    const { name, help } = durations;
    super({ name, help, labelNames: ["model", "version"], registers: [registry] });
    this.#roster = roster;
    this.#durations = durations;
  }

  override async get(): ReturnType<Histogram<"model" | "version">["get"]> {
    const { name, help, bounds, perSecond, of } = this.#durations;
    const values = this.#roster.served().flatMap(({ name: model, version, statistics }) => {
      const { histogram, time } = of(statistics);
      const counts = histogram.cumulative();
      const all = counts.at(-1) ?? 0;
      const labels = { model, version };
      return [
        ...bounds.map((bound) => ({
          metricName: `${name}_bucket`,
          labels: { ...labels, le: bound * perSecond },
          value: counts[durationBounds.indexOf(bound)] ?? 0,
        })),
        { metricName: `${name}_bucket`, labels: { ...labels, le: "+Inf" }, value: all },
        { metricName: `${name}_sum`, labels, value: (time.ns / 1e9) * perSecond },
        { metricName: `${name}_count`, labels, value: all },
      ];
    });
    // The library declares an enumeration that it does not have, and writes the word.
    const type = "histogram" as unknown as MetricType;
    return { name, help, type, aggregator: "sum", collect() {}, values };
  }

  /** What the registry asks a histogram for, in a form of its own; the usual one does as well. */
  getForPromString(): ReturnType<Histogram<"model" | "version">["get"]> {
    return this.get();
  }
}

/** Registers the histograms of how long requests took and waited, by model and version. */
export const registerDurationHistograms = (registry: Registry, roster: ModelRoster): void => {
  const requests = ({ requestDurations, success }: ModelStatistics) => ({ histogram: requestDurations, time: success });
  const all: Durations[] = [
    {
      name: "nv_inference_first_response_histogram_ms",
      help: "Time of successful requests from arrival to answer, in ms, with Triton's bounds.",
      bounds: [0.1, 0.5, 2, 5],
      perSecond: 1000,
      of: requests,
    },
    {
      name: "millrace_inference_request_seconds",
      help: "Time of successful requests from arrival to answer, in seconds.",
      bounds: durationBounds,
      perSecond: 1,
      of: requests,
    },
    {
      name: "millrace_inference_queue_seconds",
      help: "Time that requests waited in the queue of their model, in seconds.",
      bounds: durationBounds,
      perSecond: 1,
      of: ({ queueDurations, queue }) => ({ histogram: queueDurations, time: queue }),
    },
  ];
  for (const durations of all) new ReadHistogram(registry, roster, durations);
};
