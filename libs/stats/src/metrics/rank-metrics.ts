import { MetricHasNoValueError } from "../metric-has-no-value-error.ts";
import type { Numbers, ScoredRows } from "./scored-rows.ts";

/**
 * Area under the receiver operating characteristic: the chance that a positive row scores above a negative one, ties
 * counted half. Equals scikit-learn's `roc_auc_score`.
 * @param weights a row's weight, for example how often a resample drew it; default 1.
 * @throws MetricHasNoValueError where all weight is on one class.
 */
export const rocAuc = (rows: ScoredRows, weights?: Numbers): number => {
  const { labels, scores, descending } = rows;
  let positives = 0;
  let negatives = 0;
  let area = 0;
  let index = 0;
  while (index < descending.length) {
    const score = scores[descending[index] as number];
    const positivesAbove = positives;
    let tiedNegatives = 0;
    for (; index < descending.length && scores[descending[index] as number] === score; index++) {
      const row = descending[index] as number;
      const weight = weights === undefined ? 1 : (weights[row] as number);
      if (labels[row] === 1) positives += weight;
      else tiedNegatives += weight;
    }
    negatives += tiedNegatives;
    area += tiedNegatives * (positivesAbove + (positives - positivesAbove) / 2);
  }
  if (positives === 0 || negatives === 0) throw new MetricHasNoValueError("ROC_AUC", "one class");
  return area / (positives * negatives);
};

/**
 * Average precision: the mean of the precision over the steps of recall, without interpolation. Equals scikit-learn's
 * `average_precision_score`.
 * @throws MetricHasNoValueError where no weight is on the positive class.
 */
export const prAuc = (rows: ScoredRows, weights?: Numbers): number => {
  const { labels, scores, descending } = rows;
  let positives = 0;
  let taken = 0;
  let sum = 0;
  let index = 0;
  while (index < descending.length) {
    const score = scores[descending[index] as number];
    const positivesAbove = positives;
    for (; index < descending.length && scores[descending[index] as number] === score; index++) {
      const row = descending[index] as number;
      const weight = weights === undefined ? 1 : (weights[row] as number);
      taken += weight;
      if (labels[row] === 1) positives += weight;
    }
    if (taken > 0) sum += (positives - positivesAbove) * (positives / taken);
  }
  if (positives === 0) throw new MetricHasNoValueError("PR_AUC", "no positives");
  return sum / positives;
};
