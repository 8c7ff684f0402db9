/**
 * Hellinger distance of two distributions over the same bins, from 0 to 1: the root of 1 − the sum of √(p q). Near 0 about
 * half of the digits are noise, since it is a root.
 * @param reference shares with the sum 1. @param current likewise.
 */
export const hellinger = (reference: ArrayLike<number>, current: ArrayLike<number>): number => {
  let affinity = 0;
  for (let bin = 0; bin < reference.length; bin++) {
    affinity += Math.sqrt((reference[bin] as number) * (current[bin] as number));
  }
  return Math.sqrt(1 - Math.min(affinity, 1));
};
