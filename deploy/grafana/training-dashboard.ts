import type { Dashboard } from "./dashboard.ts";
import { calls, processOf, runsOver } from "./service-panels.ts";

/** Runs. */
export const trainingDashboard: Dashboard = {
  uid: "millrace-training",
  title: "millrace: training",
  description: "Runs: what waits, what trains, how it ended.",
  variables: [],
  rows: [
    {
      title: "Runs",
      panels: [
        {
          title: "Runs that wait or train",
          description: "By state. What waits for long waits for a free place: the service bounds how many train.",
          unit: "short",
          series: [{ expr: "sum by (state) (millrace_training_runs)", legend: "{{state}}" }],
        },
        runsOver,
        {
          title: "Time of an epoch",
          description: "The newest of each spec.",
          unit: "s",
          series: [{ expr: "max by (spec) (millrace_training_epoch_seconds)", legend: "{{spec}}" }],
        },
      ],
    },
    calls("millrace.training.*"),
    processOf(".*training.*"),
  ],
};
