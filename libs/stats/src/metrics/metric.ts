import { MillraceError, Reason } from "@millrace/errors";
import { accuracy, f1, precision, recall } from "./decision-metrics.ts";
import { brierScore, calibrationError, calibrationErrorEqualMass, logLoss } from "./probability-metrics.ts";
import { prAuc, rocAuc } from "./rank-metrics.ts";
import { type EstimatedRows, meanAbsoluteError, pinballLoss, r2, rmse } from "./regression-metrics.ts";
import type { Numbers, ScoredRows } from "./scored-rows.ts";

type BinaryMetric = (rows: ScoredRows, weights?: Numbers) => number;
type RegressionMetric = (rows: EstimatedRows, weights?: Numbers) => number;

const binaryMetrics = {
  ROC_AUC: rocAuc,
  PR_AUC: prAuc,
  LOG_LOSS: logLoss,
  BRIER: brierScore,
  CALIBRATION_ERROR: (rows, weights) => calibrationError(rows, weights),
  CALIBRATION_ERROR_EQUAL_MASS: (rows, weights) => calibrationErrorEqualMass(rows, weights),
  ACCURACY: (rows, weights) => accuracy(rows, weights),
  PRECISION: (rows, weights) => precision(rows, weights),
  RECALL: (rows, weights) => recall(rows, weights),
  F1: (rows, weights) => f1(rows, weights),
} satisfies Record<string, BinaryMetric>;

/** A metric of binary labels and scores. */
export type BinaryMetricName = keyof typeof binaryMetrics;

/** A metric of a regression: `PINBALL_` is followed by the quantile in percent, such as `PINBALL_90`. */
export type RegressionMetricName = "RMSE" | "MAE" | "R2" | `PINBALL_${number}`;

export const binaryMetricNames = Object.keys(binaryMetrics) as readonly BinaryMetricName[];
export const regressionMetricNames: readonly RegressionMetricName[] = ["RMSE", "MAE", "R2"];

/** Thrown when a metric is asked for by a name that the task does not have. */
export class MetricUnknownError extends MillraceError {
  constructor(name: string, known: readonly string[]) {
    super(
      "INVALID_ARGUMENT",
      Reason.FIELD_INVALID,
      `There is no metric \`${name}\` here. Known: ${known.join(", ")}.`,
      {
        violations: [{ field: "metric", expected: `one of ${known.join(", ")}`, got: name }],
      },
    );
  }
}

export const isBinaryMetric = (name: string): name is BinaryMetricName => Object.hasOwn(binaryMetrics, name);

export const isRegressionMetric = (name: string): name is RegressionMetricName =>
  name === "RMSE" || name === "MAE" || name === "R2" || pinballQuantile(name) !== undefined;

/** Whether a larger value is better. */
export const higherIsBetter = (name: string): boolean =>
  ["ROC_AUC", "PR_AUC", "ACCURACY", "PRECISION", "RECALL", "F1", "R2"].includes(name);

/**
 * One binary metric by its name.
 * @throws MetricUnknownError for other names. @throws MetricHasNoValueError where it is not defined on these rows.
 */
export const binaryMetric = (name: string, rows: ScoredRows, weights?: Numbers): number => {
  if (!isBinaryMetric(name)) throw new MetricUnknownError(name, binaryMetricNames);
  return binaryMetrics[name](rows, weights);
};

/** One regression metric by its name; errors as for binaryMetric. */
export const regressionMetric = (name: string, rows: EstimatedRows, weights?: Numbers): number =>
  regressionMetricOf(name)(rows, weights);

const regressionMetricOf = (name: string): RegressionMetric => {
  if (name === "RMSE") return rmse;
  if (name === "MAE") return meanAbsoluteError;
  if (name === "R2") return r2;
  const quantile = pinballQuantile(name);
  if (quantile === undefined) throw new MetricUnknownError(name, [...regressionMetricNames, "PINBALL_1 to PINBALL_99"]);
  return (rows, weights) => pinballLoss(rows, quantile, weights);
};

const pinballQuantile = (name: string): number | undefined => {
  const percent = /^PINBALL_([1-9][0-9]?)$/.exec(name)?.[1];
  return percent === undefined ? undefined : Number(percent) / 100;
};
