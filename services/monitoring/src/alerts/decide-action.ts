import type { AlertCause } from "@millrace/contracts/millrace/event/v1/event";
import type { JudgedSeries } from "@millrace/contracts/millrace/monitoring/v1/state";
import type { WatchRules } from "../monitors/watch-rules.ts";
import { inputOf, type WatchedPackage } from "../packages/watched-package.ts";
import type { AssembledWindow } from "../windows/assemble-window.ts";
import { qualityText } from "./alert-text.ts";

export interface Decision {
  readonly action: "REPORT";
  readonly reason: string;
  /** Whether a run is to be started; its id then takes the place of the action. */
  readonly startRun: boolean;
}

/**
 * Decides what follows from an alert. Drift is not decay: a run is only ever started where performance fell, and not
 * within the cool-down (by the ends of the windows) of the run before.
 */
export const decideAction = (
  kind: "PERFORMANCE" | "DATA_QUALITY" | "DRIFT",
  series: JudgedSeries,
  window: AssembledWindow,
  rules: WatchRules,
  watched: WatchedPackage,
  causes: readonly AlertCause[],
  canStartRuns: boolean,
): Decision => {
  const report = (reason: string): Decision => ({ action: "REPORT", reason, startRun: false });
  if (kind === "DATA_QUALITY") return report(ownersText(watched, causes));
  const quality = qualityText(window);
  if (kind === "DRIFT") {
    const performance = series.openAlerts.some((open) => open.kind === "PERFORMANCE");
    return report(
      performance
        ? `Performance fell too (${quality}): the PERFORMANCE alert of this window decides on retraining.`
        : `Drift alone does not start a run. The world changed; whether the model decayed is a question of its quality: ${quality}.`,
    );
  }
  const startRun = rules.monitor.actions?.startRun;
  if (startRun?.spec === undefined)
    return report(`Performance fell (${quality}). The monitor names no training spec, so no run is started.`);
  if (!canStartRuns)
    return report(`Performance fell (${quality}). The monitoring service has no address of a training service.`);
  const sinceUs = window.counted.toUs - series.lastRunWindowEndUs;
  if (series.lastRunWindowEndUs !== 0n && sinceUs < rules.coolDownUs)
    return report(`Performance fell (${quality}). A run was started less than ${startRun.coolDown || "1d"} before.`);
  return { action: "REPORT", reason: `Performance fell (${quality}): a run was asked for.`, startRun: true };
};

const ownersText = (watched: WatchedPackage, causes: readonly AlertCause[]): string => {
  const places = new Set<string>();
  for (const { column, featureView, source } of causes) {
    const owner = inputOf(watched, column)?.owner ?? "";
    if (featureView !== "")
      places.add(
        `view ${featureView}, source ${source === "" ? "unknown" : source}, owner ${owner === "" ? "unknown" : owner}`,
      );
  }
  const whom = places.size === 0 ? "" : ` To look at: ${[...places].join("; ")}.`;
  return `A model trained on broken data would learn the break, so data quality starts no run.${whom}`;
};
