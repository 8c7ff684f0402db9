import type { Dashboard } from "./dashboard.ts";
import { calls, deadLetters, freshness, processOf, rate, streamLag } from "./service-panels.ts";

/** Features online. */
export const featureServingDashboard: Dashboard = {
  uid: "millrace-feature-serving",
  title: "millrace: feature-serving",
  description: "Features online: how fresh they are, what is lost, whether served values equal offline ones.",
  variables: [],
  rows: [
    {
      title: "From the topics to the store",
      panels: [
        freshness,
        streamLag,
        {
          title: "Events and rows",
          description: "Events read, and rows written; a row is refused where another writer's version came first.",
          unit: "reqps",
          series: [
            { expr: "sum (rate(millrace_feature_events_total[$__rate_interval]))", legend: "events" },
            { expr: "sum (rate(millrace_feature_rows_written_total[$__rate_interval]))", legend: "rows written" },
            { expr: "sum (rate(millrace_feature_rows_refused_total[$__rate_interval]))", legend: "rows refused" },
          ],
        },
        deadLetters,
        {
          title: "Rewinds",
          description: "How often a partition was read again because the store may have lost its last writes.",
          unit: "short",
          series: [{ expr: "sum (increase(millrace_feature_rewinds_total[$__rate_interval]))", legend: "rewinds" }],
        },
        {
          title: "Rows from the cache",
          description: "Of the rows that callers let be stale, those that this process had.",
          unit: "reqps",
          series: [{ expr: rate("millrace_feature_row_cache_reads_total", "result"), legend: "{{result}}" }],
        },
      ],
    },
    {
      title: "Served equals offline",
      panels: [
        {
          title: "Values compared",
          description: "By continuous verification, by feature.",
          unit: "reqps",
          series: [{ expr: rate("millrace_feature_verified_values_total", "feature"), legend: "{{feature}}" }],
        },
        {
          title: "Values that differ",
          description: "Any is a defect, of the data's path or of ours.",
          unit: "short",
          series: [
            {
              expr: "sum by (feature) (increase(millrace_feature_verification_mismatches_total[$__rate_interval]))",
              legend: "{{feature}}",
            },
          ],
        },
        {
          title: "Verifications that failed, and their age",
          description: "A feature service whose last verification is old is not verified.",
          unit: "s",
          series: [
            {
              expr: "time() - max by (feature_service) (millrace_feature_verification_timestamp_seconds)",
              legend: "age {{feature_service}}",
            },
            {
              expr: "sum by (feature_service) (increase(millrace_feature_verification_failures_total[1h]))",
              legend: "failed {{feature_service}}",
            },
          ],
        },
      ],
    },
    calls("millrace.feature.*|feast.*|GrpcFeatureServer"),
    processOf(".*feature-serving.*"),
  ],
};
