/*
 * DDSketch (Masson, Rim, Lee: "DDSketch: a fast and fully-mergeable quantile sketch with relative-error guarantees",
 * VLDB 2019) without a limit on its buckets: a value x > 0 counts in bucket ceil(ln x / ln γ), and a bucket i stands for
 * 2 γ^i / (γ + 1), at most 1 % from each of its values. Buckets are in the order of their values, so the bucket of a
 * percentile is the percentile of the buckets.
 */

const relativeError = 0.01;
export const gamma = (1 + relativeError) / (1 - relativeError);
export const lnGamma = Math.log(gamma);

/** Codes keep the order of the values: negative buckets, zero, positive buckets, and the values that have none. */
export const codeOf = { bucketZero: 1_000_000, infinity: 2_000_000, notANumber: 3_000_000 };

/** The bucket of a value as a number that is ordered as the values are; NaN is the greatest. */
export const percentileCode = (value: number): number => {
  if (Number.isNaN(value)) return codeOf.notANumber;
  if (value === 0) return 0;
  const size = Math.abs(value);
  const code = size === Infinity ? codeOf.infinity : codeOf.bucketZero + Math.ceil(Math.log(size) / lnGamma);
  return value < 0 ? -code : code;
};

/** The value that stands for a bucket. */
export const percentileValue = (code: number): number => {
  if (code === 0) return 0;
  if (code === codeOf.notANumber) return Number.NaN;
  const size = Math.abs(code);
  const value = size === codeOf.infinity ? Infinity : (2 * gamma ** (size - codeOf.bucketZero)) / (gamma + 1);
  return code < 0 ? -value : value;
};

/** The place of a percentile among `count` ordered values, as SQL's PERCENTILE_DISC: the first at which that share is reached. */
export const percentilePlace = (count: number, percentile: number): number =>
  Math.max(1, count - Math.floor(count - percentile * count)) - 1;
