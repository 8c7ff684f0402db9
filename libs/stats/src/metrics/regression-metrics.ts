import { MetricHasNoValueError } from "../metric-has-no-value-error.ts";
import type { Numbers } from "./scored-rows.ts";

/** Observed values and the estimates of them, row by row, both finite. */
export interface EstimatedRows {
  readonly truth: Numbers;
  readonly estimates: Numbers;
}

/** @throws MetricHasNoValueError for no rows or values that are not finite. */
export const estimatedRows = (truth: Numbers, estimates: Numbers): EstimatedRows => {
  if (truth.length !== estimates.length)
    throw new RangeError(`Expected as many estimates as observed values (${truth.length}), got ${estimates.length}.`);
  if (truth.length === 0) throw new MetricHasNoValueError("Every metric", "no data");
  for (let row = 0; row < truth.length; row++)
    if (!Number.isFinite(truth[row]) || !Number.isFinite(estimates[row]))
      throw new MetricHasNoValueError("A regression metric", "not finite");
  return { truth, estimates };
};

const weightedMean = (
  metric: string,
  rows: EstimatedRows,
  weights: Numbers | undefined,
  of: (truth: number, estimate: number) => number,
): number => {
  let sum = 0;
  let total = 0;
  for (let row = 0; row < rows.truth.length; row++) {
    const weight = weights === undefined ? 1 : (weights[row] as number);
    sum += weight * of(rows.truth[row] as number, rows.estimates[row] as number);
    total += weight;
  }
  if (total === 0) throw new MetricHasNoValueError(metric, "no data");
  return sum / total;
};

/** Root of the mean squared error, in the unit of the truth. */
export const rmse = (rows: EstimatedRows, weights?: Numbers): number =>
  Math.sqrt(weightedMean("RMSE", rows, weights, (truth, estimate) => (truth - estimate) ** 2));

/** Mean absolute error, in the unit of the truth. */
export const meanAbsoluteError = (rows: EstimatedRows, weights?: Numbers): number =>
  weightedMean("MAE", rows, weights, (truth, estimate) => Math.abs(truth - estimate));

/**
 * Coefficient of determination: 1 − squared error / squared distance from the mean. Equals scikit-learn's `r2_score`.
 * @throws MetricHasNoValueError where the truth is constant.
 */
export const r2 = (rows: EstimatedRows, weights?: Numbers): number => {
  const mean = weightedMean("R2", rows, weights, (truth) => truth);
  const spread = weightedMean("R2", rows, weights, (truth) => (truth - mean) ** 2);
  if (spread === 0) throw new MetricHasNoValueError("R2", "constant truth");
  return 1 - weightedMean("R2", rows, weights, (truth, estimate) => (truth - estimate) ** 2) / spread;
};

/**
 * Mean pinball loss of estimates of a quantile. Equals scikit-learn's `mean_pinball_loss`.
 * @param quantile in (0, 1).
 */
export const pinballLoss = (rows: EstimatedRows, quantile: number, weights?: Numbers): number =>
  weightedMean(`PINBALL_${Math.round(quantile * 100)}`, rows, weights, (truth, estimate) =>
    truth >= estimate ? quantile * (truth - estimate) : (1 - quantile) * (estimate - truth),
  );
