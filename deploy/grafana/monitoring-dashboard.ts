import type { Dashboard } from "./dashboard.ts";
import { calls, monitoringLag, openAlerts, processOf, rate } from "./service-panels.ts";

/** Models as they are seen, and the counting. */
export const monitoringDashboard: Dashboard = {
  uid: "millrace-monitoring",
  title: "millrace: monitoring",
  description: "What monitoring says of the models, and whether it keeps up.",
  variables: [{ name: "model", metric: "millrace_monitoring_window_rows" }],
  rows: [
    {
      title: "Models",
      panels: [
        openAlerts,
        {
          title: "Performance",
          description: "Measures of the newest judged window that no column has: with labels, without, coverage.",
          unit: "short",
          series: [
            {
              expr: 'max by (model, measure) (millrace_monitoring_measure{model=~"$model",column=""})',
              legend: "{{model}} {{measure}}",
            },
          ],
        },
        {
          title: "Drift beside its threshold",
          description: "Above 1 a column's measure is beyond its threshold. The worst ten.",
          unit: "short",
          series: [
            {
              expr: 'topk(10, max by (model, column, measure) (millrace_monitoring_measure{model=~"$model",column!=""}) / max by (model, column, measure) (millrace_monitoring_threshold{model=~"$model",column!=""}))',
              legend: "{{model}} {{column}} {{measure}}",
            },
          ],
        },
        {
          title: "Rows of the newest judged window",
          description: "A window with few rows judges little.",
          unit: "short",
          series: [{ expr: 'max by (model) (millrace_monitoring_window_rows{model=~"$model"})', legend: "{{model}}" }],
        },
        {
          title: "Alert events",
          description: "Opened and resolved, by kind.",
          unit: "short",
          series: [
            {
              expr: 'sum by (kind, state) (increase(millrace_monitoring_alert_events_total{model=~"$model"}[$__rate_interval]))',
              legend: "{{kind}} {{state}}",
            },
          ],
        },
        {
          title: "Runs started, webhooks that failed",
          description: "Training is only started on performance, never on drift alone.",
          unit: "short",
          series: [
            { expr: "sum by (model) (increase(millrace_monitoring_runs_started_total[1h]))", legend: "runs {{model}}" },
            {
              expr: "sum by (model) (increase(millrace_monitoring_webhook_failures_total[1h]))",
              legend: "webhook failures {{model}}",
            },
          ],
        },
      ],
    },
    {
      title: "Counting",
      panels: [
        {
          title: "Records counted",
          description: "By topic.",
          unit: "reqps",
          series: [{ expr: rate("millrace_monitoring_records_total", "topic"), legend: "{{topic}}" }],
        },
        monitoringLag,
        {
          title: "Dead letters",
          description: "Records of the prediction and label topics that could not be used.",
          unit: "short",
          series: [
            {
              expr: "sum by (reason) (increase(millrace_monitoring_dead_letters_total[$__rate_interval]))",
              legend: "{{reason}}",
            },
          ],
        },
      ],
    },
    calls("millrace.monitoring.*"),
    processOf(".*monitoring.*"),
  ],
};
