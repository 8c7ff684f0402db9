import type { Panel, Row } from "./dashboard.ts";

/** The rate of a counter over the time between two points of the graph, summed by labels. */
export const rate = (counter: string, by: string, where = ""): string =>
  `sum by (${by}) (rate(${counter}${where === "" ? "" : `{${where}}`}[$__rate_interval]))`;

export const quantile = (share: number, histogram: string, by: string, where = ""): string =>
  `histogram_quantile(${share}, ${rate(`${histogram}_bucket`, `le, ${by}`, where)})`;

/** What every service is looked at for. @param services a regular expression of its gRPC services' names. */
export const calls = (services: string): Row => ({
  title: "Calls",
  panels: [
    {
      title: "Calls a second",
      description: "Calls that ended, by method.",
      unit: "reqps",
      series: [
        {
          expr: rate("grpc_server_handled_total", "grpc_method", `grpc_service=~"${services}"`),
          legend: "{{grpc_method}}",
        },
      ],
    },
    {
      title: "Calls that failed",
      description: "By status. INVALID_ARGUMENT and NOT_FOUND are the callers'; INTERNAL is a defect of the service.",
      unit: "reqps",
      series: [
        {
          expr: rate("grpc_server_handled_total", "grpc_code", `grpc_service=~"${services}",grpc_code!="OK"`),
          legend: "{{grpc_code}}",
        },
      ],
    },
    {
      title: "Time of a call",
      description: "From its first byte to its status; streams are as long as their callers keep them open.",
      unit: "s",
      series: [0.5, 0.99].map((share) => ({
        expr: quantile(
          share,
          "grpc_server_handling_seconds",
          "grpc_method",
          `grpc_service=~"${services}",grpc_type="unary"`,
        ),
        legend: `p${share * 100} {{grpc_method}}`,
      })),
    },
  ],
});

/** @param job a regular expression of the scrape's job. */
export const processOf = (job: string): Row => ({
  title: "Process",
  panels: [
    {
      title: "Delay of the event loop",
      description: "How late the thread that answers calls is. Above 0.1 s it is the bottleneck.",
      unit: "s",
      series: [
        { expr: `max by (instance) (nodejs_eventloop_lag_p99_seconds{job=~"${job}"})`, legend: "p99 {{instance}}" },
      ],
    },
    {
      title: "Memory",
      description: "Resident bytes of each process.",
      unit: "bytes",
      series: [{ expr: `max by (instance) (process_resident_memory_bytes{job=~"${job}"})`, legend: "{{instance}}" }],
    },
    {
      title: "Processors used",
      description: "Seconds of processor time a second: 1 is one core.",
      unit: "short",
      series: [
        {
          expr: `sum by (instance) (rate(process_cpu_seconds_total{job=~"${job}"}[$__rate_interval]))`,
          legend: "{{instance}}",
        },
      ],
    },
  ],
});

export const freshness: Panel = {
  title: "Freshness",
  description: "Now less the event time of the newest row that was applied, by view: what a stale source looks like.",
  unit: "s",
  series: [{ expr: "max by (view) (millrace_feature_freshness_seconds)", legend: "{{view}}" }],
};

export const predictionLog: Panel = {
  title: "Predictions logged, and dropped",
  description: "What is dropped is missing in monitoring's counts, by reason.",
  unit: "reqps",
  series: [
    { expr: "sum (rate(millrace_prediction_log_logged_total[$__rate_interval]))", legend: "logged" },
    { expr: rate("millrace_prediction_log_dropped_total", "reason"), legend: "dropped: {{reason}}" },
  ],
};

export const openAlerts: Panel = {
  title: "Open alerts",
  description: "1 while an alert of a model is open, by its kind.",
  unit: "short",
  series: [{ expr: "max by (model, kind) (millrace_monitoring_open_alerts)", legend: "{{model}} {{kind}}" }],
};

export const runsOver: Panel = {
  title: "Runs that are over",
  description: "In the last hour, by how they ended.",
  unit: "short",
  series: [{ expr: "sum by (state) (increase(millrace_training_runs_total[1h]))", legend: "{{state}}" }],
};

export const monitoringLag: Panel = {
  title: "Distance from the end of the topics",
  description: "Records that monitoring has not counted yet.",
  unit: "short",
  series: [{ expr: "sum by (topic) (millrace_monitoring_lag_records)", legend: "{{topic}}" }],
};

export const streamLag: Panel = {
  title: "Distance from the end of the topics",
  description: "Events that are not in the online store yet.",
  unit: "short",
  series: [{ expr: "sum by (topic) (millrace_feature_lag_records)", legend: "{{topic}}" }],
};

export const deadLetters: Panel = {
  title: "Dead letters",
  description:
    "Records that could not be used, by topic and reason. Each lies in the topic's dead letters with its reason.",
  unit: "short",
  series: [
    {
      expr: "sum by (topic, reason) (increase(millrace_feature_dead_letters_total[$__rate_interval]))",
      legend: "{{topic}} {{reason}}",
    },
    {
      expr: "sum by (reason) (increase(millrace_monitoring_dead_letters_total[$__rate_interval]))",
      legend: "monitoring {{reason}}",
    },
  ],
};

export const requests: Panel = {
  title: "Predictions a second",
  description: "Rows that models ran, by model and version.",
  unit: "reqps",
  series: [{ expr: rate("nv_inference_count", "model, version", 'model=~"$model"'), legend: "{{model}} {{version}}" }],
};
