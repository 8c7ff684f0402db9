import type { Performance } from "@millrace/contracts/millrace/model/v1/model_package";
import { logLossOf } from "../metrics/probability-metrics.ts";

/** A measure of a window's quality; no value says why. */
export type PerformanceMeasure =
  | {
      readonly value: number;
      readonly rows: number;
      /** How far the exact value may be away, since scores are counted by bin. */
      readonly errorBound?: number;
      /** One standard error of sampling. */
      readonly standardError?: number;
    }
  | { readonly noValue: "no data" | "no labels" | "one class"; readonly rows: number };

const numbersOf = (counts: readonly (bigint | number)[]): Float64Array => Float64Array.from(counts, Number);
const sumOf = (counts: Float64Array): number => counts.reduce((sum, each) => sum + each, 0);

/** Realized ROC AUC of the labelled rows, on score bins; exact but for pairs within a bin, which count half. */
export const realizedRocAuc = (performance: Performance): PerformanceMeasure =>
  binnedRocAuc(numbersOf(performance.positives), numbersOf(performance.negatives), Number(performance.labelled), true);

/**
 * ROC AUC that the calibrated scores expect of all rows. It cannot see that the relation of features and label changed.
 * @see Białek and others 2023, confidence-based performance estimation.
 */
export const estimatedRocAuc = (performance: Performance): PerformanceMeasure =>
  binnedRocAuc(
    numbersOf(performance.expectedPositives),
    numbersOf(performance.expectedNegatives),
    sumOf(numbersOf(performance.scored)),
    false,
  );

const binnedRocAuc = (
  positives: Float64Array,
  negatives: Float64Array,
  rows: number,
  realized: boolean,
): PerformanceMeasure => {
  if (rows === 0) return { noValue: realized ? "no labels" : "no data", rows };
  const allPositives = sumOf(positives);
  const allNegatives = sumOf(negatives);
  if (allPositives <= 0 || allNegatives <= 0) return { noValue: "one class", rows };
  let negativesBelow = 0;
  let positivesBelow = 0;
  let area = 0;
  let tied = 0;
  let squaresOfPositives = 0;
  let squaresOfNegatives = 0;
  for (let bin = 0; bin < positives.length; bin++) {
    const p = positives[bin] as number;
    const n = negatives[bin] as number;
    const rankOfPositive = (negativesBelow + n / 2) / allNegatives;
    const rankOfNegative = (allPositives - positivesBelow - p / 2) / allPositives;
    area += p * rankOfPositive;
    squaresOfPositives += p * rankOfPositive ** 2;
    squaresOfNegatives += n * rankOfNegative ** 2;
    tied += p * n;
    negativesBelow += n;
    positivesBelow += p;
  }
  const value = area / allPositives;
  // DeLong, DeLong and Clarke-Pearson 1988, on the binned ranks.
  const variance =
    Math.max(squaresOfPositives / allPositives - value ** 2, 0) / allPositives +
    Math.max(squaresOfNegatives / allNegatives - value ** 2, 0) / allNegatives;
  return {
    value,
    rows,
    errorBound: tied / 2 / (allPositives * allNegatives),
    standardError: Math.sqrt(variance),
  };
};

/** Realized mean log loss of the labelled rows. */
export const realizedLogLoss = (performance: Performance): PerformanceMeasure => {
  const rows = Number(performance.labelled);
  if (rows === 0) return { noValue: "no labels", rows };
  const value = performance.logLossSum / rows;
  return {
    value,
    rows,
    standardError:
      deviationOfLoss(numbersOf(performance.positives), numbersOf(performance.negatives), value) / Math.sqrt(rows),
  };
};

/** Log loss that the calibrated scores expect of all rows, with its sampling error. */
export const estimatedLogLoss = (performance: Performance): PerformanceMeasure => {
  const rows = sumOf(numbersOf(performance.scored));
  if (rows === 0) return { noValue: "no data", rows };
  const value = performance.estimatedLogLossSum / rows;
  const deviation = deviationOfLoss(
    numbersOf(performance.expectedPositives),
    numbersOf(performance.expectedNegatives),
    value,
  );
  return { value, rows, standardError: deviation / Math.sqrt(rows) };
};

/** Standard deviation of a row's loss, each row taken at the middle of its score bin. */
const deviationOfLoss = (positives: Float64Array, negatives: Float64Array, mean: number): number => {
  let squares = 0;
  for (let bin = 0; bin < positives.length; bin++) {
    const score = (bin + 0.5) / positives.length;
    squares += (positives[bin] as number) * (logLossOf(1, score) - mean) ** 2;
    squares += (negatives[bin] as number) * (logLossOf(0, score) - mean) ** 2;
  }
  return Math.sqrt(squares / (sumOf(positives) + sumOf(negatives)));
};

/** Realized Brier score of the labelled rows. */
export const realizedBrier = (performance: Performance): PerformanceMeasure => {
  const rows = Number(performance.labelled);
  return rows === 0 ? { noValue: "no labels", rows } : { value: performance.squaredErrorSum / rows, rows };
};

/** Points of a calibration curve: mean score and share of positives of the labelled rows, on bins of equal width. */
export interface CalibrationPoint {
  readonly score: number;
  readonly positiveShare: number;
  readonly rows: number;
}

/** @param bins must divide the number of score bins: 10, 15, 20. */
export const calibrationCurve = (performance: Performance, bins = 15): CalibrationPoint[] => {
  const positives = numbersOf(performance.positives);
  const negatives = numbersOf(performance.negatives);
  const width = positives.length / bins;
  return Array.from({ length: bins }, (_, bin) => {
    let rows = 0;
    let positive = 0;
    let scores = 0;
    for (let fine = bin * width; fine < (bin + 1) * width; fine++) {
      const inFine = (positives[fine] ?? 0) + (negatives[fine] ?? 0);
      rows += inFine;
      positive += positives[fine] ?? 0;
      scores += (inFine * (fine + 0.5)) / positives.length;
    }
    return { score: rows === 0 ? 0 : scores / rows, positiveShare: rows === 0 ? 0 : positive / rows, rows };
  }).filter(({ rows }) => rows > 0);
};

/** Realized expected calibration error on 15 bins of equal width; each score is off by half a score bin at most. */
export const realizedCalibrationError = (performance: Performance): PerformanceMeasure => {
  const rows = Number(performance.labelled);
  if (rows === 0) return { noValue: "no labels", rows };
  const sum = calibrationCurve(performance).reduce(
    (total, point) => total + point.rows * Math.abs(point.positiveShare - point.score),
    0,
  );
  return { value: sum / rows, rows, errorBound: 1 / (2 * Math.max(performance.positives.length, 1)) };
};

/** Root mean squared error of a regression's labelled rows. */
export const realizedRmse = (performance: Performance): PerformanceMeasure => {
  const rows = Number(performance.labelled);
  return rows === 0 ? { noValue: "no labels", rows } : { value: Math.sqrt(performance.squaredErrorSum / rows), rows };
};

/** Mean absolute error of a regression's labelled rows. */
export const realizedMae = (performance: Performance): PerformanceMeasure => {
  const rows = Number(performance.labelled);
  return rows === 0 ? { noValue: "no labels", rows } : { value: performance.absoluteErrorSum / rows, rows };
};
