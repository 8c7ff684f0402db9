/**
 * Population stability index of two distributions over the same bins: the sum of (p - q) ln(p / q). An empty bin is
 * given a small share instead of 0, as Evidently does: 0.0001, or a millionth of the least share that is not 0 where that
 * is 0.0001 or less. The shares are not scaled to 1 again.
 * @param reference shares. @param current likewise.
 */
export const populationStabilityIndex = (reference: ArrayLike<number>, current: ArrayLike<number>): number => {
  const filledReference = filledShares(reference);
  const filledCurrent = filledShares(current);
  let sum = 0;
  for (let bin = 0; bin < reference.length; bin++) {
    const p = filledReference[bin] as number;
    const q = filledCurrent[bin] as number;
    sum += (p - q) * Math.log(p / q);
  }
  return sum;
};

/** Shares with a small one in place of 0. */
export const filledShares = (shares: ArrayLike<number>): Float64Array => {
  const fill = fillOf(shares);
  return Float64Array.from(shares, (share) => (share === 0 ? fill : share));
};

const SMALL_SHARE = 0.0001;

const fillOf = (shares: ArrayLike<number>): number => {
  let least = Number.POSITIVE_INFINITY;
  for (let bin = 0; bin < shares.length; bin++) {
    const share = shares[bin] as number;
    if (share !== 0 && share < least) least = share;
  }
  return least <= SMALL_SHARE ? least / 1e6 : SMALL_SHARE;
};
