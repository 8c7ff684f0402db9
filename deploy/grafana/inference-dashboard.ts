import type { Dashboard } from "./dashboard.ts";
import { calls, predictionLog, processOf, quantile, rate, requests } from "./service-panels.ts";

/** Models, Predict and its log. */
export const inferenceDashboard: Dashboard = {
  uid: "millrace-inference",
  title: "millrace: inference",
  description: "Models: what is asked of them, what they take, what is refused, and what reaches the log.",
  variables: [{ name: "model", metric: "nv_inference_request_success" }],
  rows: [
    {
      title: "Requests",
      panels: [
        requests,
        {
          title: "Requests that failed",
          description: "REJECTED is load that was shed or waited too long; BACKEND is the model; OTHER is a defect.",
          unit: "reqps",
          series: [
            {
              expr: rate("nv_inference_request_failure", "model, reason", 'model=~"$model"'),
              legend: "{{model}} {{reason}}",
            },
          ],
        },
        {
          title: "Time of a request",
          description: "From its arrival to its answer.",
          unit: "s",
          series: [0.5, 0.99].map((share) => ({
            expr: quantile(share, "millrace_inference_request_seconds", "model", 'model=~"$model"'),
            legend: `p${share * 100} {{model}}`,
          })),
        },
        {
          title: "Time in the queue",
          description: "Where it grows, the model has too few instances or the machine too few cores.",
          unit: "s",
          series: [
            {
              expr: quantile(0.99, "millrace_inference_queue_seconds", "model", 'model=~"$model"'),
              legend: "p99 {{model}}",
            },
          ],
        },
        {
          title: "Rows in a batch",
          description: "Rows that one run took on average: batches grow with the load.",
          unit: "short",
          series: [
            {
              expr: `${rate("nv_inference_count", "model", 'model=~"$model"')} / ${rate("nv_inference_exec_count", "model", 'model=~"$model"')}`,
              legend: "{{model}}",
            },
          ],
        },
        {
          title: "Why batches were closed",
          description: "FULL and QUEUE_EMPTY are usual; DEADLINE_NEAR says that deadlines are short beside a run.",
          unit: "reqps",
          series: [
            { expr: rate("millrace_inference_batch_closed_total", "reason", 'model=~"$model"'), legend: "{{reason}}" },
          ],
        },
        {
          title: "Requests that wait",
          description: "Not yet run.",
          unit: "short",
          series: [
            { expr: 'sum by (model) (nv_inference_pending_request_count{model=~"$model"})', legend: "{{model}}" },
          ],
        },
        {
          title: "Bytes of requests under way",
          description: "Beyond the bound, requests are refused with RESOURCE_EXHAUSTED.",
          unit: "bytes",
          series: [{ expr: "sum by (instance) (millrace_inference_in_flight_bytes)", legend: "{{instance}}" }],
        },
        {
          title: "Workers lost, wedged and replaced",
          description: "Any means that a model crashed its thread or ran longer than it may.",
          unit: "short",
          series: [
            {
              expr: 'sum by (model, event) (increase(millrace_inference_instances_total{model=~"$model"}[$__rate_interval]))',
              legend: "{{model}} {{event}}",
            },
          ],
        },
      ],
    },
    {
      title: "Predict: features, log, shadows",
      panels: [
        {
          title: "Calls to feature-serving",
          description: "By outcome: SKIPPED while those before it failed.",
          unit: "reqps",
          series: [{ expr: rate("millrace_prediction_features_seconds_count", "outcome"), legend: "{{outcome}}" }],
        },
        {
          title: "Feature values that were not there",
          description: "By view and by what became of them.",
          unit: "reqps",
          series: [
            {
              expr: rate("millrace_prediction_feature_values_total", "feature_view, event", 'model=~"$model"'),
              legend: "{{feature_view}} {{event}}",
            },
          ],
        },
        predictionLog,
        {
          title: "Payload events",
          description: "Sent to consumers of KServe's payload log, by outcome.",
          unit: "reqps",
          series: [{ expr: rate("millrace_payload_log_events_total", "outcome"), legend: "{{outcome}}" }],
        },
        {
          title: "Shadows",
          description: "Answers of shadows beside the one that was given.",
          unit: "reqps",
          series: [
            {
              expr: rate("millrace_shadow_compared_total", "model, outcome", 'model=~"$model"'),
              legend: "{{model}} {{outcome}}",
            },
          ],
        },
        {
          title: "Steps of pipelines that failed",
          description: "By step and status.",
          unit: "reqps",
          series: [
            {
              expr: rate("millrace_pipeline_step_failures_total", "pipeline, step, code"),
              legend: "{{pipeline}}/{{step}} {{code}}",
            },
          ],
        },
      ],
    },
    calls("inference.*|millrace.inference.*"),
    processOf(".*inference.*"),
  ],
};
