/*
 * DDSketch (Masson, Rim, Lee: "DDSketch: a fast and fully-mergeable quantile sketch with relative-error guarantees",
 * VLDB 2019) without a limit on its buckets: a value x > 0 counts in bucket ceil(ln x / ln γ), which is the i with
 * γ^(i − 1) < x ≤ γ^i, and a bucket stands for 2 γ^i / (γ + 1) = γ^(i − 1) (1 + α), at most α = 1 % from each of its
 * values. Buckets are in the order of their values, so the bucket of a percentile is the percentile of the buckets.
 *
 * A logarithm may differ in its last bit from one engine to the next, and would put a value at a border into another
 * bucket. It only guesses here. What decides are the borders γ^i as doubles, made of nothing but multiplications in one
 * order (and one division), which every engine with IEEE 754 does alike.
 */

export const relativeError = 0.01;
const gamma = (1 + relativeError) / (1 - relativeError);

/** What the guess divides a logarithm by. */
export const lnGamma = Math.log(gamma);

/** γ, γ², γ⁴ …: γ^n is the product of those whose bits n has, the first one first. */
export const borderFactors: readonly number[] = squaresFrom(gamma, 16);

/** The first bucket. Sizes up to its lower end, 2.3e-308, where doubles lose their digits, count as 0. */
export const lowestBucket = -35_417;

/** Codes keep the order of the values: negative buckets, zero, positive buckets, and the values that have none. */
export const codeOf = { bucketZero: 1_000_000, infinity: 2_000_000, notANumber: 3_000_000 };

/** The upper end of a bucket, γ^bucket: the same double in every engine. */
export const bucketBorder = (bucket: number): number => {
  let power = 1;
  let bits = Math.abs(bucket);
  for (let index = 0; bits > 0; index++, bits >>= 1) {
    if ((bits & 1) === 1) power *= borderFactors[index] ?? Number.NaN;
  }
  return bucket < 0 ? 1 / power : power;
};

function squaresFrom(first: number, count: number): number[] {
  const squares = [first];
  for (let last = first; squares.length < count; squares.push(last)) last *= last;
  return squares;
}

const lowestSize = bucketBorder(lowestBucket - 1);

/** The bucket of a value as a number that is ordered as the values are; NaN is the greatest. */
export const percentileCode = (value: number): number => {
  if (Number.isNaN(value)) return codeOf.notANumber;
  const size = Math.abs(value);
  if (size <= lowestSize) return 0;
  const code = size === Infinity ? codeOf.infinity : codeOf.bucketZero + bucketOf(size);
  return value < 0 ? -code : code;
};

const bucketOf = (size: number): number => {
  const guess = Math.max(lowestBucket, Math.ceil(Math.log(size) / lnGamma));
  if (size <= bucketBorder(guess - 1)) return guess - 1;
  return size > bucketBorder(guess) ? guess + 1 : guess;
};

/** The value that stands for a bucket. */
export const percentileValue = (code: number): number => {
  if (code === 0) return 0;
  if (code === codeOf.notANumber) return Number.NaN;
  const size = Math.abs(code);
  const value = size === codeOf.infinity ? Infinity : bucketBorder(size - codeOf.bucketZero - 1) * (1 + relativeError);
  return code < 0 ? -value : value;
};

/** The place of a percentile among `count` ordered values, as SQL's PERCENTILE_DISC: the first at which that share is reached. */
export const percentilePlace = (count: number, percentile: number): number =>
  Math.max(1, count - Math.floor(count - percentile * count)) - 1;
