import type { AlertCause } from "@millrace/contracts/millrace/event/v1/event";
import type { WatchRules } from "../monitors/watch-rules.ts";
import type { AssembledWindow } from "../windows/assemble-window.ts";

/** A number for a person: four significant digits. */
export const figure = (value: number): string => String(Number(value.toPrecision(4)));

/** `the week of 2001-02-12`, on the monitor's calendar. */
export const windowText = ({ counted }: AssembledWindow, rules: WatchRules): string => {
  const day = rules.calendar.dayOf(counted.fromUs);
  const date = new Date(day * 86_400_000).toISOString().slice(0, 10);
  if (rules.length === "7d") return `the week of ${date}`;
  if (rules.length === "1d") return date;
  const hour = Number((counted.fromUs - rules.calendar.startOfDay(day)) / 3_600_000_000n);
  return `${date}, hour ${hour}`;
};

const measureTexts: Readonly<Record<string, string>> = {
  WASSERSTEIN: "Wasserstein distance in standard deviations of the baseline",
  JENSEN_SHANNON: "Jensen–Shannon distance",
  PSI: "population stability index",
  NULL_SHARE: "share of nulls",
  UNSEEN_SHARE: "share of unseen categories",
  OUT_OF_RANGE_SHARE: "share out of the declared range",
  NOT_FOUND_SHARE: "share of NOT_FOUND",
  OUTSIDE_MAX_AGE_SHARE: "share of OUTSIDE_MAX_AGE",
  UNAVAILABLE_SHARE: "share of UNAVAILABLE",
  DUPLICATE_SHARE: "share of duplicate ids",
  LABEL_COVERAGE: "share of labelled rows",
  ROC_AUC: "realized ROC AUC",
  ESTIMATED_ROC_AUC: "estimated ROC AUC",
  LOG_LOSS: "realized log loss",
  ESTIMATED_LOG_LOSS: "estimated log loss",
  LOG_LOSS_EXCESS: "realized log loss above the estimated one",
  BRIER: "Brier score",
  CALIBRATION_ERROR: "calibration error",
  RMSE: "root mean squared error",
  MAE: "mean absolute error",
};

export const measureText = (measure: string): string => measureTexts[measure] ?? measure;

/** One sentence that says what happened. */
export const summaryOf = (
  kind: string,
  model: string,
  window: AssembledWindow,
  rules: WatchRules,
  causes: readonly AlertCause[],
): string => {
  const when = windowText(window, rules);
  const [first] = causes;
  if (first === undefined) return `${model} in ${when}: an alert without causes.`;
  const where = first.column === "" ? model : `\`${first.column}\` of ${model}`;
  const moved =
    kind === "DRIFT"
      ? `drifted${first.direction === "" ? "" : first.direction === "UP" ? " upwards" : " downwards"}`
      : kind === "DATA_QUALITY"
        ? "has a data-quality problem"
        : "performs worse than its evaluation";
  const origin =
    first.featureView === "" ? "" : `, which comes from the view ${first.featureView} over the source ${first.source}`;
  const more = causes.length > 1 ? `; ${causes.length - 1} more` : "";
  return `${where}${origin} ${moved} in ${when}: ${measureText(first.measure)} ${figure(first.value)}, threshold ${figure(first.threshold)}${more}.`;
};

/** What the model's quality was in a window, for the reason why nothing is retrained. */
export const qualityText = ({ window }: AssembledWindow): string => {
  const parts: string[] = [];
  const measured = (name: string) => window.measures.find((each) => each.name === name && each.noValue === "");
  const auc = measured("ROC_AUC");
  const loss = measured("LOG_LOSS");
  const expected = measured("ESTIMATED_LOG_LOSS");
  const estimatedAuc = measured("ESTIMATED_ROC_AUC");
  const coverage = measured("LABEL_COVERAGE");
  if (auc !== undefined) parts.push(`ROC AUC ${figure(auc.value)}`);
  else if (estimatedAuc !== undefined) parts.push(`estimated ROC AUC ${figure(estimatedAuc.value)}`);
  if (loss !== undefined && expected !== undefined)
    parts.push(`log loss ${figure(loss.value)} where its own scores expect ${figure(expected.value)}`);
  if (coverage !== undefined) parts.push(`labels for ${figure(100 * coverage.value)} % of the rows`);
  return parts.length === 0 ? "its quality is not known yet" : parts.join(", ");
};
