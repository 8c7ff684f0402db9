import { Counter, Gauge, type Registry } from "prom-client";
import type { AssembledWindow } from "./windows/assemble-window.ts";

/** Most columns whose measures are exported for a model; reports have all of them. */
const MOST_COLUMNS = 50;

/** Every metric of the monitoring service beside the host's own. Labels are bounded: models, columns, fixed words. */
export class MonitoringMetrics {
  readonly #records: Counter;
  readonly #lag: Gauge;
  readonly #deadLetters: Counter;
  readonly #rows: Gauge;
  readonly #measure: Gauge;
  readonly #threshold: Gauge;
  readonly #open: Gauge;
  readonly #events: Counter;
  readonly #runs: Counter;
  readonly #webhookFailures: Counter;

  constructor(registry: Registry) {
    const registers = [registry];
    this.#records = new Counter({
      name: "millrace_monitoring_records_total",
      help: "Records counted by this process, by topic.",
      labelNames: ["topic"],
      registers,
    });
    this.#lag = new Gauge({
      name: "millrace_monitoring_lag_records",
      help: "Records behind the end of the partition when its last batch was read.",
      labelNames: ["topic", "partition"],
      registers,
    });
    this.#deadLetters = new Counter({
      name: "millrace_monitoring_dead_letters_total",
      help: "Records that could not be used, by reason.",
      labelNames: ["reason"],
      registers,
    });
    this.#rows = new Gauge({
      name: "millrace_monitoring_window_rows",
      help: "Rows of the newest judged window of a model.",
      labelNames: ["model"],
      registers,
    });
    this.#measure = new Gauge({
      name: "millrace_monitoring_measure",
      help: "A measure of the newest judged window; `column` is empty for measures of the model.",
      labelNames: ["model", "column", "measure"],
      registers,
    });
    this.#threshold = new Gauge({
      name: "millrace_monitoring_threshold",
      help: "The threshold of a measure of the newest judged window.",
      labelNames: ["model", "column", "measure"],
      registers,
    });
    this.#open = new Gauge({
      name: "millrace_monitoring_open_alerts",
      help: "Alerts of a model that have fired and not cleared, by kind.",
      labelNames: ["model", "kind"],
      registers,
    });
    this.#events = new Counter({
      name: "millrace_monitoring_alert_events_total",
      help: "Alert events sent by this process.",
      labelNames: ["model", "kind", "state"],
      registers,
    });
    this.#runs = new Counter({
      name: "millrace_monitoring_runs_started_total",
      help: "Training runs started by alerts.",
      labelNames: ["model"],
      registers,
    });
    this.#webhookFailures = new Counter({
      name: "millrace_monitoring_webhook_failures_total",
      help: "Alert events that a webhook did not take.",
      labelNames: ["model"],
      registers,
    });
  }

  counted(topic: string, partition: number, records: number, lag: bigint): void {
    this.#records.inc({ topic }, records);
    this.#lag.set({ topic, partition: String(partition) }, Number(lag > 0n ? lag : 0n));
  }

  rejected(reason: string): void {
    this.#deadLetters.inc({ reason });
  }

  judged({ counted: { model }, window }: AssembledWindow, openKinds: ReadonlySet<string>): void {
    this.#rows.set({ model }, Number(window.rows));
    const columns = window.columns.slice(0, MOST_COLUMNS);
    for (const { column, measures } of [{ column: "", measures: window.measures }, ...columns])
      for (const { name: measure, value, threshold, noValue } of measures) {
        if (noValue === "") this.#measure.set({ model, column, measure }, value);
        else this.#measure.remove({ model, column, measure });
        if (threshold === undefined) this.#threshold.remove({ model, column, measure });
        else this.#threshold.set({ model, column, measure }, threshold);
      }
    for (const kind of ["DRIFT", "DATA_QUALITY", "PERFORMANCE"])
      this.#open.set({ model, kind }, openKinds.has(kind) ? 1 : 0);
  }

  sent(model: string, kind: string, state: string, startedRun: boolean): void {
    this.#events.inc({ model, kind, state });
    if (startedRun) this.#runs.inc({ model });
  }

  webhookFailed(model: string): void {
    this.#webhookFailures.inc({ model });
  }
}
