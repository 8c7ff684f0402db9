import type { RestObserver } from "@millrace/rest";
import { Counter, Histogram, type Registry } from "prom-client";

/**
 * Registers the metrics of a REST form: requests by route and status, and their time.
 * @param prefix `millrace_inference`.
 */
export const registerRestMetrics = (registry: Registry, prefix: string): RestObserver => {
  const requests = new Counter({
    name: `${prefix}_rest_requests_total`,
    help: "Requests of the REST form that were answered, by route and HTTP status.",
    labelNames: ["route", "status"],
    registers: [registry],
  });
  const seconds = new Histogram({
    name: `${prefix}_rest_seconds`,
    help: "Time of a request of the REST form from its head to its answer, in seconds.",
    labelNames: ["route"],
    buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    registers: [registry],
  });
  return ({ route, status }, took) => {
    requests.inc({ route, status });
    seconds.observe({ route }, took);
  };
};
