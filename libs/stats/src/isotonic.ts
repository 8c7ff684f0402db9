import { create } from "@bufbuild/protobuf";
import { type Calibration, CalibrationSchema } from "@millrace/contracts/millrace/model/v1/model_package";
import { MetricHasNoValueError } from "./metric-has-no-value-error.ts";
import type { Numbers } from "./metrics/scored-rows.ts";

/**
 * Fits the non-decreasing map from score to probability that has the least squared error (pool adjacent violators;
 * Ayer and others 1955). Rows of one score count as one point at their mean label; a point inside a level stretch is
 * left out, since the map is linear between points. Equals scikit-learn's `IsotonicRegression(out_of_bounds="clip")`.
 * @param scores finite. @param labels 0 or 1, one a score.
 * @throws MetricHasNoValueError for no rows or scores that are not finite.
 */
export const fitIsotonic = (scores: Numbers, labels: Numbers): Calibration => {
  const rows = scores.length;
  if (rows === 0) throw new MetricHasNoValueError("Isotonic calibration", "no data");
  const order = new Uint32Array(rows);
  for (let row = 0; row < rows; row++) {
    if (!Number.isFinite(scores[row])) throw new MetricHasNoValueError("Isotonic calibration", "not finite");
    order[row] = row;
  }
  order.sort((a, b) => (scores[a] as number) - (scores[b] as number));

  const blocks: { low: number; high: number; sum: number; weight: number }[] = [];
  for (let index = 0; index < rows; ) {
    const score = scores[order[index] as number] as number;
    let sum = 0;
    let weight = 0;
    for (; index < rows && scores[order[index] as number] === score; index++) {
      sum += labels[order[index] as number] as number;
      weight++;
    }
    let block = { low: score, high: score, sum, weight };
    for (let last = blocks.at(-1); last !== undefined; last = blocks.at(-1)) {
      if (last.sum * block.weight < block.sum * last.weight) break;
      block = { low: last.low, high: block.high, sum: last.sum + block.sum, weight: last.weight + block.weight };
      blocks.pop();
    }
    blocks.push(block);
  }

  const points = blocks.flatMap(({ low, high, sum, weight }) => {
    const probability = sum / weight;
    return low === high
      ? [{ score: low, probability }]
      : [
          { score: low, probability },
          { score: high, probability },
        ];
  });
  return create(CalibrationSchema, {
    scores: points.map(({ score }) => score),
    probabilities: points.map(({ probability }) => probability),
  });
};

/**
 * A function that maps a score to its calibrated probability: linear between the points of the map, constant outside.
 * Without a map the score is used as it is, clipped to [0, 1].
 */
export const calibrator = (calibration?: Calibration): ((score: number) => number) => {
  const points = calibration?.scores.length ?? 0;
  if (calibration === undefined || points === 0) return (score) => Math.min(Math.max(score, 0), 1);
  const scores = Float64Array.from(calibration.scores);
  const probabilities = Float64Array.from(calibration.probabilities);
  return (score) => {
    if (score <= (scores[0] as number)) return probabilities[0] as number;
    if (score >= (scores[points - 1] as number)) return probabilities[points - 1] as number;
    let low = 0;
    let high = points - 1;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if ((scores[middle] as number) <= score) low = middle;
      else high = middle;
    }
    const from = scores[low] as number;
    const to = scores[high] as number;
    const share = (score - from) / (to - from);
    return (probabilities[low] as number) + share * ((probabilities[high] as number) - (probabilities[low] as number));
  };
};
