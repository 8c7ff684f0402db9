import { MetricHasNoValueError } from "../metric-has-no-value-error.ts";

/** An array of numbers, typed or not. */
export type Numbers = ArrayLike<number>;

/**
 * Binary labels and scores, row by row, with the rows' order by score kept, so that several rank metrics and resamples
 * of the same rows sort once.
 */
export interface ScoredRows {
  /** 0 or 1 a row. */
  readonly labels: Numbers;
  /** The score of the positive class a row; a probability in [0, 1] for every metric but the rank metrics. */
  readonly scores: Float64Array;
  /** Row indices, the highest score first. Sorted on first use. */
  readonly descending: Uint32Array;
}

/**
 * @param labels 0 or 1 a row. @param scores finite, one a row.
 * @throws MetricHasNoValueError for no rows, labels other than 0 and 1, scores that are not finite.
 */
export const scoredRows = (labels: Numbers, scores: Numbers): ScoredRows => {
  const rows = labels.length;
  if (rows !== scores.length)
    throw new RangeError(`Expected as many scores as labels (${rows}), got ${scores.length}.`);
  if (rows === 0) throw new MetricHasNoValueError("Every metric", "no data");
  const copy = new Float64Array(rows);
  for (let row = 0; row < rows; row++) {
    const label = labels[row];
    if (label !== 0 && label !== 1) throw new MetricHasNoValueError("A binary metric", "not a binary label");
    const score = scores[row] ?? Number.NaN;
    if (!Number.isFinite(score)) throw new MetricHasNoValueError("A binary metric", "not finite");
    copy[row] = score;
  }
  let order: Uint32Array | undefined;
  return {
    labels,
    scores: copy,
    get descending(): Uint32Array {
      order ??= descendingOrder(copy);
      return order;
    },
  };
};

const descendingOrder = (scores: Float64Array): Uint32Array => {
  const order = new Uint32Array(scores.length);
  for (let row = 0; row < order.length; row++) order[row] = row;
  return order.sort((a, b) => (scores[b] as number) - (scores[a] as number));
};
