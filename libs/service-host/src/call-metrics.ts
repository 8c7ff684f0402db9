import type { CallObserver, ObservedMethod } from "@millrace/grpc";
import { Counter, type Registry } from "prom-client";
import { DurationHistogram, ReadHistogram } from "./read-histogram.ts";

/** Upper bounds of the buckets, in seconds. */
const durationBounds = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/**
 * Counts calls and their time under the names of go-grpc-prometheus: `grpc_server_started_total`,
 * `grpc_server_handled_total` (with `grpc_code`) and `grpc_server_handling_seconds`.
 */
export const callMetrics = (registry: Registry): CallObserver => {
  const labelNames = ["grpc_type", "grpc_service", "grpc_method"] as const;
  // The counts of a call are plain numbers, which are told when they are asked for: an update of a series costs more.
  const labelled = new Map<ObservedMethod, MethodSeries>();
  new Counter({
    name: "grpc_server_started_total",
    help: "Calls that the server began to answer.",
    labelNames,
    registers: [registry],
    collect() {
      this.reset();
      for (const { labels, counts } of labelled.values()) this.inc(labels, counts.started);
    },
  });
  new Counter({
    name: "grpc_server_handled_total",
    help: "Calls that ended, by their status.",
    labelNames: [...labelNames, "grpc_code"],
    registers: [registry],
    collect() {
      this.reset();
      for (const { labels, handled } of labelled.values()) {
        for (const [code, count] of handled) this.inc({ ...labels, grpc_code: grpcCode(code) }, count);
      }
    },
  });
  const seconds = {
    name: "grpc_server_handling_seconds",
    help: "Time from a call's first byte to its status.",
    labelNames,
  };
  new ReadHistogram(registry, seconds, () =>
    [...labelled.values()].map(({ labels, durations, counts }) => {
      const cumulative = durations.cumulative();
      const count = cumulative.at(-1) ?? 0;
      const buckets = durationBounds.map((bound, index) => [bound, cumulative[index] ?? 0] as const);
      return { labels, buckets, count, sum: counts.seconds };
    }),
  );
  const seriesOf = (method: ObservedMethod): MethodSeries => {
    let series = labelled.get(method);
    if (series === undefined) {
      const labels = { grpc_type: method.type, grpc_service: method.service, grpc_method: method.name };
      series = {
        labels,
        counts: { started: 0, seconds: 0 },
        durations: new DurationHistogram(durationBounds),
        handled: new Map(),
      };
      labelled.set(method, series);
    }
    return series;
  };
  return {
    started: (method) => {
      seriesOf(method).counts.started++;
    },
    handled: (method, _call, code, took) => {
      const series = seriesOf(method);
      series.handled.set(code, (series.handled.get(code) ?? 0) + 1);
      series.counts.seconds += took;
      series.durations.add(took * 1e9);
    },
  };
};

interface MethodSeries {
  readonly labels: Record<"grpc_type" | "grpc_service" | "grpc_method", string>;
  readonly counts: { started: number; seconds: number };
  readonly durations: DurationHistogram;
  /** By status. */
  readonly handled: Map<string, number>;
}

/** `NOT_FOUND` as `NotFound`, the form that go-grpc-prometheus uses. */
const grpcCode = (code: string): string =>
  code === "OK"
    ? code
    : code
        .split("_")
        .map((word) => `${word[0]}${word.slice(1).toLowerCase()}`)
        .join("");
