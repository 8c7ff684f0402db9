import { type DurationHistogram, ReadHistogram } from "@millrace/service-host";
import type { Registry } from "prom-client";
import { type CountedTime, durationBounds, type ModelStatistics } from "../execution/model-statistics.ts";
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
  const labelNames = ["model", "version"];
  for (const { name, help, bounds, perSecond, of } of all) {
    new ReadHistogram(registry, { name, help, labelNames }, () =>
      roster.served().map(({ name: model, version, statistics }) => {
        const { histogram, time } = of(statistics);
        const counts = histogram.cumulative();
        const bucket = (bound: number) => [bound * perSecond, counts[durationBounds.indexOf(bound)] ?? 0] as const;
        const sum = (time.ns / 1e9) * perSecond;
        return { labels: { model, version }, buckets: bounds.map(bucket), count: counts.at(-1) ?? 0, sum };
      }),
    );
  }
};
