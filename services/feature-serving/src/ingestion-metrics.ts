import { Counter, Gauge, type Registry } from "prom-client";
import type { IngestionSnapshot } from "./stream/ingestion-counts.ts";

/** Shows what the stream worker counts as Prometheus metrics. The function takes the worker's latest counts. */
export function ingestionMetrics(registry: Registry): (counts: IngestionSnapshot) => void {
  const registers = [registry];
  const counter = (name: string, help: string, labelNames: string[] = []) =>
    new Counter({ name: `millrace_feature_${name}`, help, labelNames, registers });
  const events = counter("events_total", "Records of topics that the stream worker has read and judged.");
  const rows = counter("rows_written_total", "Online rows that the stream worker wrote.");
  const refused = counter(
    "rows_refused_total",
    "Writes refused because another writer's version came first, and made again.",
  );
  const rewinds = counter(
    "rewinds_total",
    "Times that the stream worker went back because the store began another life.",
  );
  const deadLetters = counter("dead_letters_total", "Records that could not be used, by topic and reason.", [
    "topic",
    "reason",
  ]);
  const lag = new Gauge({
    name: "millrace_feature_lag_records",
    help: "Records of a topic's partition that are not applied yet.",
    labelNames: ["topic", "partition"],
    registers,
  });
  let latest: IngestionSnapshot | undefined;
  new Gauge({
    name: "millrace_feature_freshness_seconds",
    help: "Age of a view: now minus the event time of the newest fact that the stream applied.",
    labelNames: ["view", "version"],
    registers,
    collect() {
      this.reset();
      for (const [id, timeUs] of Object.entries(latest?.newestEventUs ?? {})) {
        const [view = "", version = ""] = id.split("@");
        this.set({ view, version }, Date.now() / 1000 - timeUs / 1_000_000);
      }
    },
  });
  return (counts) => {
    events.inc(counts.events - (latest?.events ?? 0));
    rows.inc(counts.rowsWritten - (latest?.rowsWritten ?? 0));
    refused.inc(counts.refused - (latest?.refused ?? 0));
    rewinds.inc(counts.rewinds - (latest?.rewinds ?? 0));
    for (const [name, count] of Object.entries(counts.deadLetters)) {
      const [topic = "", reason = ""] = name.split(" ");
      deadLetters.inc({ topic, reason }, count - (latest?.deadLetters[name] ?? 0));
    }
    for (const [name, records] of Object.entries(counts.lag)) {
      const [topic = "", partition = ""] = name.split(" ");
      lag.set({ topic, partition }, records);
    }
    latest = counts;
  };
}
