import { filledShares } from "./population-stability-index.ts";

/**
 * Kullback–Leibler divergence of the current distribution from the reference over the same bins, in nats: the sum of
 * p ln(p / q), both scaled to 1 after empty bins were given a small share as for the population stability index. Equals
 * Evidently's `kl_div` and, over shares without an empty bin, SciPy's `entropy`.
 * @param reference shares. @param current likewise.
 */
export const kullbackLeibler = (reference: ArrayLike<number>, current: ArrayLike<number>): number => {
  const p = filledShares(reference);
  const q = filledShares(current);
  const sumOf = (shares: Float64Array): number => shares.reduce((total, share) => total + share, 0);
  const referenceSum = sumOf(p);
  const currentSum = sumOf(q);
  let divergence = 0;
  for (let bin = 0; bin < p.length; bin++) {
    const share = (p[bin] as number) / referenceSum;
    divergence += share * Math.log(share / ((q[bin] as number) / currentSum));
  }
  return divergence;
};
