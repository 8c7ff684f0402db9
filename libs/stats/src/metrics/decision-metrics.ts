import { MetricHasNoValueError } from "../metric-has-no-value-error.ts";
import type { Numbers, ScoredRows } from "./scored-rows.ts";

interface Confusion {
  readonly truePositives: number;
  readonly falsePositives: number;
  readonly falseNegatives: number;
  readonly total: number;
}

const confusion = (metric: string, rows: ScoredRows, weights: Numbers | undefined, threshold: number): Confusion => {
  let truePositives = 0;
  let falsePositives = 0;
  let falseNegatives = 0;
  let total = 0;
  for (let row = 0; row < rows.scores.length; row++) {
    const weight = weights === undefined ? 1 : (weights[row] as number);
    total += weight;
    const predicted = (rows.scores[row] as number) >= threshold;
    if (rows.labels[row] === 1) {
      if (predicted) truePositives += weight;
      else falseNegatives += weight;
    } else if (predicted) falsePositives += weight;
  }
  if (total === 0) throw new MetricHasNoValueError(metric, "no data");
  return { truePositives, falsePositives, falseNegatives, total };
};

/** Share of rows whose decision (score at or above the threshold) is their label. */
export const accuracy = (rows: ScoredRows, weights?: Numbers, threshold = 0.5): number => {
  const { falsePositives, falseNegatives, total } = confusion("ACCURACY", rows, weights, threshold);
  return (total - falsePositives - falseNegatives) / total;
};

/**
 * Share of positives among the rows decided positive.
 * @throws MetricHasNoValueError where no row is decided positive (scikit-learn warns and answers 0).
 */
export const precision = (rows: ScoredRows, weights?: Numbers, threshold = 0.5): number => {
  const { truePositives, falsePositives } = confusion("PRECISION", rows, weights, threshold);
  if (truePositives + falsePositives === 0) throw new MetricHasNoValueError("PRECISION", "no predicted positives");
  return truePositives / (truePositives + falsePositives);
};

/**
 * Share of the positives that are decided positive.
 * @throws MetricHasNoValueError where there is no positive.
 */
export const recall = (rows: ScoredRows, weights?: Numbers, threshold = 0.5): number => {
  const { truePositives, falseNegatives } = confusion("RECALL", rows, weights, threshold);
  if (truePositives + falseNegatives === 0) throw new MetricHasNoValueError("RECALL", "no positives");
  return truePositives / (truePositives + falseNegatives);
};

/**
 * Harmonic mean of precision and recall.
 * @throws MetricHasNoValueError where there is neither a positive nor a row decided positive.
 */
export const f1 = (rows: ScoredRows, weights?: Numbers, threshold = 0.5): number => {
  const { truePositives, falsePositives, falseNegatives } = confusion("F1", rows, weights, threshold);
  const denominator = 2 * truePositives + falsePositives + falseNegatives;
  if (denominator === 0) throw new MetricHasNoValueError("F1", "no positives");
  return (2 * truePositives) / denominator;
};
