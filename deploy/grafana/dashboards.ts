import type { Dashboard } from "./dashboard.ts";
import { featureServingDashboard } from "./feature-serving-dashboard.ts";
import { inferenceDashboard } from "./inference-dashboard.ts";
import { loopDashboard } from "./loop-dashboard.ts";
import { monitoringDashboard } from "./monitoring-dashboard.ts";
import { trainingDashboard } from "./training-dashboard.ts";

/** Every dashboard: one of the whole loop, and one a service. */
export const dashboards: readonly Dashboard[] = [
  loopDashboard,
  featureServingDashboard,
  inferenceDashboard,
  trainingDashboard,
  monitoringDashboard,
];
