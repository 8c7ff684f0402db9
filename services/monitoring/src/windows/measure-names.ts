import { Rule_Kind } from "@millrace/contracts/millrace/monitoring/v1/monitor";

const performance = [
  "ROC_AUC",
  "LOG_LOSS",
  "LOG_LOSS_EXCESS",
  "BRIER",
  "CALIBRATION_ERROR",
  "RMSE",
  "MAE",
  "ESTIMATED_ROC_AUC",
  "ESTIMATED_LOG_LOSS",
];
const drift = ["WASSERSTEIN", "JENSEN_SHANNON", "PSI"];
const dataQuality = [
  "NULL_SHARE",
  "UNSEEN_SHARE",
  "OUT_OF_RANGE_SHARE",
  "NOT_FOUND_SHARE",
  "OUTSIDE_MAX_AGE_SHARE",
  "UNAVAILABLE_SHARE",
  "DUPLICATE_SHARE",
  "LABEL_COVERAGE",
];

/** Every measure that a rule may name. */
export const measureNames: readonly string[] = [...performance, ...drift, ...dataQuality];

/** Measures of the whole model, which have no column. */
export const modelMeasures: ReadonlySet<string> = new Set([...performance, "DUPLICATE_SHARE", "LABEL_COVERAGE"]);

/** The shares of a column that have a default threshold. */
export const columnShares: readonly string[] = dataQuality.slice(0, 6);

/** The kind of alert that a measure raises where its rule does not say. */
export const kindOfMeasure = (measure: string): Rule_Kind =>
  performance.includes(measure)
    ? Rule_Kind.PERFORMANCE
    : drift.includes(measure)
      ? Rule_Kind.DRIFT
      : Rule_Kind.DATA_QUALITY;
