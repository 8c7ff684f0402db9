import { Counter, Gauge, type Registry } from "prom-client";
import type { CountedTime, FailureReason, ModelStatistics } from "../execution/model-statistics.ts";
import { registerDurationHistograms } from "./duration-metrics.ts";
import { registerMachineMetrics } from "./machine-metrics.ts";
import type { ModelRoster } from "./model-roster.ts";
import type { Servable } from "./servable.ts";

/** Upper bounds of the histogram of batch sizes, in rows. */
const batchSizeBounds = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024];

/**
 * Registers the metrics of models: Triton's names, labels and meanings (`nv_inference_*`: success counts requests, count
 * counts rows, exec_count counts runs), and our own histogram of batch sizes and counter of close reasons. The hot path
 * adds to plain numbers; they are read here, when Prometheus asks.
 */
export const registerInferenceMetrics = (registry: Registry, roster: ModelRoster): void => {
  const counter = (
    name: string,
    help: string,
    extra: string[],
    read: (served: Servable, inc: (value: number, labels?: Record<string, string>) => void) => void,
  ) =>
    new Counter({
      name,
      help,
      labelNames: ["model", "version", ...extra],
      registers: [registry],
      collect() {
        this.reset();
        for (const served of roster.served()) {
          const { name: model, version } = served;
          read(served, (value, labels = {}) => this.inc({ model, version, ...labels }, value));
        }
      },
    });
  const total = (name: string, help: string, value: (statistics: ModelStatistics) => number) =>
    counter(name, help, [], ({ statistics }, inc) => inc(value(statistics)));
  const time = (name: string, help: string, value: (statistics: ModelStatistics) => CountedTime) =>
    total(name, help, (statistics) => Math.round(value(statistics).ns / 1000));

  total("nv_inference_request_success", "Requests that were answered.", ({ success }) => success.count);
  counter("nv_inference_request_failure", "Requests that failed, by reason.", ["reason"], ({ statistics }, inc) => {
    for (const reason of Object.keys(statistics.failures) as FailureReason[]) {
      inc(statistics.failures[reason], { reason });
    }
  });
  total("nv_inference_count", "Rows that were run.", ({ inferences }) => inferences);
  total("nv_inference_exec_count", "Runs of the model.", ({ executions }) => executions);
  time("nv_inference_request_duration_us", "Time of requests from arrival to answer, in µs.", ({ success }) => success);
  time("nv_inference_queue_duration_us", "Time that requests waited, in µs.", ({ queue }) => queue);
  time("nv_inference_compute_input_duration_us", "Time that requests were joined in, in µs.", ({ input }) => input);
  time("nv_inference_compute_infer_duration_us", "Time that requests were run in, in µs.", ({ infer }) => infer);
  time("nv_inference_compute_output_duration_us", "Time that answers were read in, in µs.", ({ output }) => output);
  total("nv_cache_num_hits_per_model", "Requests that the response cache answered.", ({ cacheHit }) => cacheHit.count);
  total("nv_cache_num_misses_per_model", "Requests that it could not answer.", ({ cacheMiss }) => cacheMiss.count);
  time("nv_cache_hit_duration_per_model", "Time of looking up what was found, in µs.", ({ cacheHit }) => cacheHit);
  time("nv_cache_miss_duration_per_model", "Time of looking up and keeping the rest, in µs.", (all) => all.cacheMiss);
  counter(
    "millrace_inference_instances_total",
    "What befell the workers of models: `lost`, `wedged`, or `replaced` by another.",
    ["event"],
    ({ statistics }, inc) => {
      for (const [event, count] of Object.entries(statistics.instances)) inc(count, { event });
    },
  );
  registerDurationHistograms(registry, roster);
  registerMachineMetrics(registry);
  counter(
    "millrace_inference_batch_closed_total",
    "Batches, by the reason why they were closed.",
    ["reason"],
    ({ statistics }, inc) => {
      for (const [reason, count] of statistics.closed) inc(count, { reason });
    },
  );
  const bucket = (
    le: string,
    bound: number,
    served: Servable,
    inc: (value: number, labels: Record<string, string>) => void,
  ) => {
    let runs = 0;
    for (const [rows, { infer }] of served.statistics.batches) if (rows <= bound) runs += infer.count;
    inc(runs, { le });
  };
  counter(
    "millrace_inference_batch_size_bucket",
    "Runs by their rows, cumulative: at most `le`.",
    ["le"],
    (served, inc) => {
      for (const bound of batchSizeBounds) bucket(String(bound), bound, served, inc);
      bucket("+Inf", Infinity, served, inc);
    },
  );
  new Gauge({
    name: "nv_inference_pending_request_count",
    help: "Requests that wait.",
    labelNames: ["model", "version"],
    registers: [registry],
    collect() {
      this.reset();
      for (const { name: model, version, waiting } of roster.served()) this.set({ model, version }, waiting);
    },
  });
  new Gauge({
    name: "nv_model_load_duration_secs",
    help: "Time that loading and checking the model took, in seconds.",
    labelNames: ["model", "version"],
    registers: [registry],
    collect() {
      this.reset();
      for (const { name: model, version, loadSeconds } of roster.served()) this.set({ model, version }, loadSeconds);
    },
  });
};
