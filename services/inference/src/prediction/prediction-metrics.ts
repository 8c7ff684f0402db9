import { Counter, Gauge, Histogram, type Registry } from "prom-client";
import type { FeatureObserver } from "./read-features.ts";

/** What is counted of Predict and of the prediction log. */
export interface PredictionMetrics {
  readonly featureSeconds: Histogram<"outcome">;
  readonly featureValues: Counter<"model" | "feature_view" | "event">;
  readonly logged: Counter;
  readonly dropped: Counter<"reason">;
  readonly appendFailures: Counter;
}

/** Counts what reading features tells. */
export const featureObserver = ({ featureSeconds, featureValues }: PredictionMetrics): FeatureObserver => ({
  onCall: (outcome, seconds) => featureSeconds.observe({ outcome }, seconds),
  onValues: (model, featureView, event, values) =>
    featureValues.inc({ model, feature_view: featureView, event }, values),
});

/** Registers the metrics of Predict. @param buffered predictions that wait to be logged. */
export const registerPredictionMetrics = (registry: Registry, buffered: () => number): PredictionMetrics => {
  const registers = [registry];
  new Gauge({
    name: "millrace_prediction_log_buffered",
    help: "Predictions that wait to be logged.",
    registers,
    collect() {
      this.set(buffered());
    },
  });
  return {
    featureSeconds: new Histogram({
      name: "millrace_prediction_features_seconds",
      help: "Time of a call to feature-serving, by outcome.",
      labelNames: ["outcome"],
      buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5],
      registers,
    }),
    featureValues: new Counter({
      name: "millrace_prediction_feature_values_total",
      help: "Values of features (rows times features) that were not there, by why, and those that a default was put in for or that were refused.",
      labelNames: ["model", "feature_view", "event"],
      registers,
    }),
    logged: new Counter({
      name: "millrace_prediction_log_logged_total",
      help: "Predictions that the log has.",
      registers,
    }),
    dropped: new Counter({
      name: "millrace_prediction_log_dropped_total",
      help: "Predictions that were not logged, by reason.",
      labelNames: ["reason"],
      registers,
    }),
    appendFailures: new Counter({
      name: "millrace_prediction_log_append_failures_total",
      help: "Appends that failed and were tried again.",
      registers,
    }),
  };
};
