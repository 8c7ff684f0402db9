/**
 * Jensen–Shannon distance of two distributions over the same bins, in nats: from 0 to sqrt(ln 2) = 0.8326. Bins that are
 * empty on both sides count nothing. Near 0 about half of the digits are noise, since it is a root.
 * @param reference shares or counts, not negative, with a positive sum. @param current likewise.
 * @returns equals SciPy's `jensenshannon`. @see Endres and Schindelin 2003.
 */
export const jensenShannon = (reference: ArrayLike<number>, current: ArrayLike<number>): number => {
  const referenceSum = sum(reference);
  const currentSum = sum(current);
  let left = 0;
  let right = 0;
  for (let bin = 0; bin < reference.length; bin++) {
    const p = (reference[bin] as number) / referenceSum;
    const q = (current[bin] as number) / currentSum;
    const middle = (p + q) / 2;
    if (p > 0) left += p * Math.log(p / middle);
    if (q > 0) right += q * Math.log(q / middle);
  }
  return Math.sqrt(Math.max(left + right, 0) / 2);
};

const sum = (values: ArrayLike<number>): number => {
  let total = 0;
  for (let index = 0; index < values.length; index++) total += values[index] as number;
  return total;
};
