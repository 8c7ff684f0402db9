import type { CallContext } from "@millrace/grpc";
import { Counter, Histogram, type Registry } from "prom-client";

/** A request that was answered. */
export interface AnsweredRequest {
  readonly call: CallContext;
  readonly method: string;
  /** The path with its parts' names: `v2/models/:model[/versions/:version]/infer`; `unknown` where there is no such path. */
  readonly route: string;
  readonly status: number;
}

/** Is told of each request that was answered. */
export type RestObserver = (answered: AnsweredRequest, seconds: number) => void;

/** Registers the metrics of the REST form: requests by route and status, and their time. */
export const registerRestMetrics = (registry: Registry): RestObserver => {
  const requests = new Counter({
    name: "millrace_inference_rest_requests_total",
    help: "Requests of the REST form that were answered, by route and HTTP status.",
    labelNames: ["route", "status"],
    registers: [registry],
  });
  const seconds = new Histogram({
    name: "millrace_inference_rest_seconds",
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
