import { readFile } from "node:fs/promises";
import { fromJson, type JsonValue } from "@bufbuild/protobuf";
import type { AlertEvent } from "@millrace/contracts/millrace/event/v1/event";
import { MonitorSchema } from "@millrace/contracts/millrace/monitoring/v1/monitor";
import type { Measure, Window } from "@millrace/contracts/millrace/monitoring/v1/monitoring_service";
import { parse } from "yaml";
import type { Narration } from "../narration.ts";
import { whileAway } from "../replay/retry.ts";
import { dateText, story } from "../story.ts";
import type { Clients } from "./clients.ts";

const timestamp = (atUs: number): { seconds: bigint; nanos: number } => ({
  seconds: BigInt(atUs / 1_000_000),
  nanos: 0,
});

export const applyMonitor = async ({ monitoring }: Clients, file: string, narration: Narration): Promise<void> => {
  const monitor = fromJson(MonitorSchema, parse(await readFile(file, "utf8")) as JsonValue);
  await monitoring.apply({ monitor });
  narration.line(
    `Monitor ${monitor.name}: windows of ${monitor.windows?.length}, against the baseline of the package.`,
  );
};

/** Waits until monitoring has counted what was sent, has it judge the week, and shows what it found. */
export const tellWeek = async (
  { monitoring }: Clients,
  model: string,
  fromUs: number,
  toUs: number,
  narration: Narration,
): Promise<void> => {
  // A week that the replay cut short is judged as far as it came.
  const weekEndUs = fromUs + story.weekUs;
  await whileAway(() => monitoring.awaitCounted({ model, judgeUntil: timestamp(weekEndUs) }, { timeoutMs: 120_000 }));
  const { windows } = await whileAway(() =>
    monitoring.listWindows({ model, from: timestamp(fromUs), to: timestamp(weekEndUs) }, { timeoutMs: 30_000 }),
  );
  const window = windows.find(({ slice }) => slice === "");
  if (window === undefined) throw new Error(`Monitoring has no window for the week of ${dateText(fromUs)}.`);
  narration.strong(
    `week of ${dateText(fromUs)}${toUs < weekEndUs ? ` (until ${dateText(toUs)})` : ""}: ${describeWindow(window)}`,
  );
  const drifts = window.columns
    .map((column) => ({
      column: column.column,
      direction: column.direction,
      measure: measureOf(column.measures, "WASSERSTEIN"),
    }))
    .filter(({ measure }) => measure !== undefined)
    .map(
      ({ column, direction, measure }) =>
        `${column} ${measure?.value.toFixed(2)}${direction === "" ? "" : ` ${direction.toLowerCase()}`}`,
    );
  narration.line(`drift (Wasserstein over the baseline's standard deviation): ${drifts.join(", ")}`);
  for (const alert of window.alerts) tellAlert(alert, narration);
};

export const measureOf = (measures: readonly Measure[], name: string): Measure | undefined =>
  measures.find((measure) => measure.name === name && measure.noValue === "");

const describeWindow = ({ rows, measures }: Window): string => {
  const figure = (name: string, digits = 3): string => measureOf(measures, name)?.value.toFixed(digits) ?? "none";
  const error = measureOf(measures, "ESTIMATED_LOG_LOSS")?.standardError;
  return [
    `${rows} predictions`,
    `labels of ${(100 * (measureOf(measures, "LABEL_COVERAGE")?.value ?? 0)).toFixed(1)} %`,
    `log loss estimated ${figure("ESTIMATED_LOG_LOSS")}${error === undefined ? "" : ` ± ${error.toFixed(3)}`}, realized ${figure("LOG_LOSS")}`,
    `ROC AUC ${figure("ROC_AUC")}`,
  ].join(", ");
};

const tellAlert = (alert: AlertEvent, narration: Narration): void => {
  narration.warn(`${alert.state === "FIRING" ? "ALERT" : "resolved"} ${alert.kind}: ${alert.summary}`);
  for (const cause of alert.causes.slice(0, 3)) {
    const from = cause.source === "" ? "" : `  (view ${cause.featureView}, source ${cause.source})`;
    narration.line(
      `  ${cause.measure} of ${cause.column || "the model"} is ${cause.value.toFixed(3)}, limit ${cause.threshold.toFixed(3)} ${cause.direction.toLowerCase()}${from}`,
    );
  }
  if (alert.action !== "") narration.line(`  action: ${alert.action}. ${alert.actionReason}`);
};
