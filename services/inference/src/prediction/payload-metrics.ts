import { Counter, Gauge, type Registry } from "prom-client";

/** What is counted of payload logs. */
export interface PayloadMetrics {
  readonly events: Counter<"outcome">;
  readonly retries: Counter;
}

/** Registers the metrics of payload logs. @param buffered events that wait or are under way. */
export const registerPayloadMetrics = (registry: Registry, buffered: () => number): PayloadMetrics => {
  const registers = [registry];
  new Gauge({
    name: "millrace_payload_log_buffered",
    help: "Events of payload logs that wait or are under way.",
    registers,
    collect() {
      this.set(buffered());
    },
  });
  return {
    events: new Counter({
      name: "millrace_payload_log_events_total",
      help: "Events of payload logs, by what became of them.",
      labelNames: ["outcome"],
      registers,
    }),
    retries: new Counter({
      name: "millrace_payload_log_retries_total",
      help: "Events that were sent again, since their receiver did not take them.",
      registers,
    }),
  };
};
