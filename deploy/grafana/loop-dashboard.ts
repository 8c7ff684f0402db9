import type { Dashboard } from "./dashboard.ts";
import {
  deadLetters,
  freshness,
  monitoringLag,
  openAlerts,
  predictionLog,
  rate,
  requests,
  runsOver,
  streamLag,
} from "./service-panels.ts";

/** The whole, on one page. */
export const loopDashboard: Dashboard = {
  uid: "millrace-loop",
  title: "millrace: the loop",
  description: "From events to predictions to alerts to a new model, on one page: where does it stand still?",
  variables: [{ name: "model", metric: "nv_inference_request_success" }],
  rows: [
    { title: "Data", panels: [freshness, streamLag, deadLetters] },
    {
      title: "Predictions",
      panels: [
        requests,
        {
          title: "Share of requests that failed",
          description: "Of all requests, without those that their callers cancelled.",
          unit: "percentunit",
          series: [
            {
              expr: `${rate("nv_inference_request_failure", "model", 'model=~"$model",reason!="CANCELED"')} / (${rate("nv_inference_request_success", "model", 'model=~"$model"')} + ${rate("nv_inference_request_failure", "model", 'model=~"$model"')})`,
              legend: "{{model}}",
            },
          ],
        },
        predictionLog,
      ],
    },
    { title: "What became of them", panels: [monitoringLag, openAlerts, runsOver] },
  ],
};
