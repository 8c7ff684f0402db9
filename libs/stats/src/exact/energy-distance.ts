import { EmptySampleError } from "../empty-sample-error.ts";

/**
 * Energy distance of two samples: the root of twice the area of the squared difference of their distribution functions
 * (Székely and Rizzo 2013). Near 0 about half of the digits are noise, since it is a root.
 * @param reference finite values in ascending order, at least one. @param current likewise.
 * @returns equals SciPy's `energy_distance`. @throws EmptySampleError naming the empty side.
 */
export const energyDistance = (reference: Float64Array, current: Float64Array): number => {
  if (reference.length === 0) throw new EmptySampleError("reference");
  if (current.length === 0) throw new EmptySampleError("current");
  let i = 0;
  let j = 0;
  let area = 0;
  let previous = Math.min(reference[0] as number, current[0] as number);
  while (i < reference.length || j < current.length) {
    const value = Math.min(reference[i] ?? Number.POSITIVE_INFINITY, current[j] ?? Number.POSITIVE_INFINITY);
    area += (i / reference.length - j / current.length) ** 2 * (value - previous);
    while (i < reference.length && reference[i] === value) i++;
    while (j < current.length && current[j] === value) j++;
    previous = value;
  }
  return Math.sqrt(2 * area);
};
