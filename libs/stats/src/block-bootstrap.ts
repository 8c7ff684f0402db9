import { MetricHasNoValueError } from "./metric-has-no-value-error.ts";
import { seededRandom } from "./seeded-random.ts";

export interface BootstrapOptions {
  /** How many resamples. Default 200. */
  readonly resamples?: number;
  /** Default 0.95. */
  readonly confidence?: number;
  /** The same seed gives the same interval. Default 1. */
  readonly seed?: number;
}

/** A percentile interval. */
export interface ConfidenceInterval {
  readonly lower: number;
  readonly upper: number;
  /** Resamples that had a value (a resample may, for example, have drawn one class only). */
  readonly resamples: number;
}

/**
 * Confidence interval of a statistic by drawing whole blocks with replacement, as many as there are: rows of one day
 * share what happened that day, so an interval that draws single rows is too narrow. Percentile method (Efron 1979;
 * blocks: Carlstein 1986). For the difference of two models give a statistic that subtracts: both see the same draw.
 * @param blocks the block of each row, such as its day number. Any integers.
 * @param statistic gets each row's weight (how often its block was drawn); it may throw MetricHasNoValueError, which
 *   drops the resample.
 * @returns undefined for fewer than two blocks, or where no resample has a value.
 */
export const blockBootstrap = (
  blocks: ArrayLike<number>,
  statistic: (weights: Float64Array) => number,
  options: BootstrapOptions = {},
): ConfidenceInterval | undefined => {
  const { resamples = 200, confidence = 0.95, seed = 1 } = options;
  const indexOf = new Map<number, number>();
  const blockOfRow = new Uint32Array(blocks.length);
  for (let row = 0; row < blocks.length; row++) {
    const block = blocks[row] as number;
    let index = indexOf.get(block);
    if (index === undefined) {
      index = indexOf.size;
      indexOf.set(block, index);
    }
    blockOfRow[row] = index;
  }
  const count = indexOf.size;
  if (count < 2) return undefined;
  const random = seededRandom(seed);
  const weights = new Float64Array(blocks.length);
  const draws = new Float64Array(count);
  const values: number[] = [];
  for (let resample = 0; resample < resamples; resample++) {
    draws.fill(0);
    for (let draw = 0; draw < count; draw++) {
      const block = Math.floor(random() * count);
      draws[block] = (draws[block] as number) + 1;
    }
    for (let row = 0; row < weights.length; row++) weights[row] = draws[blockOfRow[row] as number] as number;
    try {
      values.push(statistic(weights));
    } catch (error) {
      if (!(error instanceof MetricHasNoValueError)) throw error;
    }
  }
  if (values.length === 0) return undefined;
  values.sort((a, b) => a - b);
  const tail = (1 - confidence) / 2;
  return { lower: quantileOfSorted(values, tail), upper: quantileOfSorted(values, 1 - tail), resamples: values.length };
};

/** Quantile with linear interpolation between order statistics (NumPy's default, type 7 of Hyndman and Fan). */
export const quantileOfSorted = (sorted: ArrayLike<number>, share: number): number => {
  const position = share * (sorted.length - 1);
  const low = Math.floor(position);
  const high = Math.min(low + 1, sorted.length - 1);
  const lowValue = sorted[low] as number;
  return lowValue + (position - low) * ((sorted[high] as number) - lowValue);
};
