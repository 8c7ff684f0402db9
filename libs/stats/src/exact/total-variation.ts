/**
 * Total variation distance of two distributions over the same bins, from 0 to 1: half of the sum of |p − q|.
 * @param reference shares with the sum 1. @param current likewise.
 */
export const totalVariation = (reference: ArrayLike<number>, current: ArrayLike<number>): number => {
  let sum = 0;
  for (let bin = 0; bin < reference.length; bin++)
    sum += Math.abs((reference[bin] as number) - (current[bin] as number));
  return sum / 2;
};
