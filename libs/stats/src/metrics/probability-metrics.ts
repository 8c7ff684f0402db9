import { MetricHasNoValueError } from "../metric-has-no-value-error.ts";
import type { Numbers, ScoredRows } from "./scored-rows.ts";

/** Probabilities are kept this far from 0 and 1 before a logarithm is taken, as scikit-learn does for float64. */
export const PROBABILITY_EPSILON = 2 ** -52;

/** The loss of one row, in nats. */
export const logLossOf = (label: number, probability: number): number => {
  const p = Math.min(Math.max(probability, PROBABILITY_EPSILON), 1 - PROBABILITY_EPSILON);
  return label === 1 ? -Math.log(p) : -Math.log1p(-p);
};

const weightedMean = (metric: string, rows: ScoredRows, weights: Numbers | undefined, of: (row: number) => number) => {
  let sum = 0;
  let total = 0;
  for (let row = 0; row < rows.scores.length; row++) {
    const weight = weights === undefined ? 1 : (weights[row] as number);
    if (weight === 0) continue;
    sum += weight * of(row);
    total += weight;
  }
  if (total === 0) throw new MetricHasNoValueError(metric, "no data");
  return sum / total;
};

/** Mean negative log-likelihood, in nats. Equals scikit-learn's `log_loss`. */
export const logLoss = (rows: ScoredRows, weights?: Numbers): number =>
  weightedMean("LOG_LOSS", rows, weights, (row) => logLossOf(rows.labels[row] as number, rows.scores[row] as number));

/** Mean squared difference of probability and label. Equals scikit-learn's `brier_score_loss`. */
export const brierScore = (rows: ScoredRows, weights?: Numbers): number =>
  weightedMean("BRIER", rows, weights, (row) => ((rows.scores[row] as number) - (rows.labels[row] as number)) ** 2);

/**
 * Expected calibration error on bins of equal width over [0, 1]: the mean, by rows, of |share of positives − mean score|
 * of a bin. Naeini, Cooper and Hauskrecht 2015.
 * @param bins default 15.
 */
export const calibrationError = (rows: ScoredRows, weights?: Numbers, bins = 15): number => {
  const difference = new Float64Array(bins);
  let total = 0;
  for (let row = 0; row < rows.scores.length; row++) {
    const weight = weights === undefined ? 1 : (weights[row] as number);
    const score = rows.scores[row] as number;
    const bin = Math.min(Math.max(Math.floor(score * bins), 0), bins - 1);
    difference[bin] = (difference[bin] as number) + weight * ((rows.labels[row] as number) - score);
    total += weight;
  }
  if (total === 0) throw new MetricHasNoValueError("CALIBRATION_ERROR", "no data");
  return difference.reduce((sum, each) => sum + Math.abs(each), 0) / total;
};

/** Rows whose scores are near each other: what was predicted for them, and what came. */
export interface CalibrationBin {
  readonly meanScore: number;
  readonly positiveShare: number;
  /** The sum of the rows' weights. */
  readonly weight: number;
}

/**
 * What came of what was predicted, on bins of equal weight by rank of the score, the highest first. Rows of one score stay
 * in one bin, so that the bins do not depend on the order of the rows.
 * @param bins at most so many; default 10.
 * @throws MetricHasNoValueError without rows.
 */
export const calibrationBins = (rows: ScoredRows, weights?: Numbers, bins = 10): CalibrationBin[] => {
  const { labels, scores, descending } = rows;
  let total = 0;
  for (let row = 0; row < scores.length; row++) total += weights === undefined ? 1 : (weights[row] as number);
  if (total === 0) throw new MetricHasNoValueError("CALIBRATION_ERROR_EQUAL_MASS", "no data");
  const found: CalibrationBin[] = [];
  let [weightInBin, scoreSum, positives] = [0, 0, 0];
  let taken = 0;
  let bin = 1;
  const close = () => {
    if (weightInBin > 0) {
      found.push({ meanScore: scoreSum / weightInBin, positiveShare: positives / weightInBin, weight: weightInBin });
    }
    [weightInBin, scoreSum, positives] = [0, 0, 0];
  };
  for (let index = 0; index < descending.length; index++) {
    const row = descending[index] as number;
    const weight = weights === undefined ? 1 : (weights[row] as number);
    weightInBin += weight;
    scoreSum += weight * (scores[row] as number);
    positives += weight * (labels[row] as number);
    taken += weight;
    const next = descending[index + 1];
    const ends = next === undefined || scores[next] !== scores[row];
    if (ends && taken * bins >= bin * total) {
      close();
      while (taken * bins >= bin * total) bin++;
    }
  }
  close();
  return found;
};

/**
 * Expected calibration error on those bins: the mean, by rows, of |share of positives − mean score| of a bin.
 * @param bins default 10.
 */
export const calibrationErrorEqualMass = (rows: ScoredRows, weights?: Numbers, bins = 10): number => {
  let sum = 0;
  let total = 0;
  for (const { meanScore, positiveShare, weight } of calibrationBins(rows, weights, bins)) {
    sum += weight * Math.abs(positiveShare - meanScore);
    total += weight;
  }
  return sum / total;
};
