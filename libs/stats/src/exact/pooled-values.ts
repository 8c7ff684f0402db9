/** A value of two samples together, and how many rows of each side have it or a lesser one. */
export interface PooledValue {
  /** Rows of the reference below the value, and with it. */
  readonly referenceBelow: number;
  readonly referenceAt: number;
  readonly currentBelow: number;
  readonly currentAt: number;
}

/** The distinct values of two ascending samples, in ascending order; -0 and 0 are one. */
export function* pooledValues(reference: Float64Array, current: Float64Array): Generator<PooledValue> {
  let i = 0;
  let j = 0;
  while (i < reference.length || j < current.length) {
    const value = Math.min(reference[i] ?? Number.POSITIVE_INFINITY, current[j] ?? Number.POSITIVE_INFINITY);
    const [referenceBelow, currentBelow] = [i, j];
    while (i < reference.length && reference[i] === value) i++;
    while (j < current.length && current[j] === value) j++;
    yield { referenceBelow, referenceAt: i - referenceBelow, currentBelow, currentAt: j - currentBelow };
  }
}
