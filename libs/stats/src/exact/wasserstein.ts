import { EmptySampleError } from "../empty-sample-error.ts";

/** Evidently's floor of the standard deviation: a column in smaller units than this never drifts by this measure. */
export const STANDARD_DEVIATION_FLOOR = 0.001;

/**
 * Wasserstein-1 distance of two samples, in their own unit: the area between their distribution functions (Vallender
 * 1974).
 * @param reference finite values in ascending order, at least one. @param current likewise.
 * @returns 0 for equal distributions, else positive; equals SciPy's `wasserstein_distance`.
 * @throws EmptySampleError naming the empty side.
 */
export const wasserstein = (reference: Float64Array, current: Float64Array): number => {
  if (reference.length === 0) throw new EmptySampleError("reference");
  if (current.length === 0) throw new EmptySampleError("current");
  let i = 0;
  let j = 0;
  let area = 0;
  let previous = Math.min(reference[0] as number, current[0] as number);
  while (i < reference.length || j < current.length) {
    const nextReference = i < reference.length ? (reference[i] as number) : Number.POSITIVE_INFINITY;
    const nextCurrent = j < current.length ? (current[j] as number) : Number.POSITIVE_INFINITY;
    const value = Math.min(nextReference, nextCurrent);
    area += Math.abs(i / reference.length - j / current.length) * (value - previous);
    while (i < reference.length && (reference[i] as number) === value) i++;
    while (j < current.length && (current[j] as number) === value) j++;
    previous = value;
  }
  return area;
};

/** The distance divided by the reference's standard deviation (of all of it, not of a sample), at least `floor`. */
export const normedWasserstein = (
  reference: Float64Array,
  current: Float64Array,
  floor = STANDARD_DEVIATION_FLOOR,
): number => wasserstein(reference, current) / Math.max(standardDeviation(reference), floor);

/** Population standard deviation, in two passes around the first value, so that a large common part costs no digits. */
export const standardDeviation = (values: Float64Array): number => {
  const origin = values[0] ?? 0;
  let sum = 0;
  for (let index = 0; index < values.length; index++) sum += (values[index] as number) - origin;
  const mean = sum / values.length;
  let squares = 0;
  for (let index = 0; index < values.length; index++) squares += ((values[index] as number) - origin - mean) ** 2;
  return Math.sqrt(squares / values.length);
};
