import { EmptySampleError } from "../empty-sample-error.ts";

/** Shares of the rows of two samples that lie in the same bins. */
export interface BinnedShares {
  readonly reference: Float64Array;
  readonly current: Float64Array;
}

/** Rows by value. */
export type CategoryCounts = ReadonlyMap<string | number, number>;

/** Above this many distinct values of the reference, numbers are put into bins of equal width. */
const VALUES_WITH_OWN_BIN = 20;

/**
 * Shares of numbers, as Evidently bins them: one bin a value up to 20 distinct reference values, else bins of equal width
 * over both samples, as many as Sturges' rule says for all rows.
 * @param reference finite values in ascending order, at least one. @param current likewise.
 * @param integers whether the column is of integers: bins are then at least 1 wide.
 */
export const sharesOfNumbers = (reference: Float64Array, current: Float64Array, integers: boolean): BinnedShares => {
  if (reference.length === 0) throw new EmptySampleError("reference");
  if (current.length === 0) throw new EmptySampleError("current");
  if (distinctValues(reference) <= VALUES_WITH_OWN_BIN)
    return sharesOfCategories(countsOfNumbers(reference), countsOfNumbers(current));
  return sharesOfBins(reference, current, reference.length + current.length, integers);
};

/**
 * Shares of numbers on bins of equal width, as many as Sturges' rule says for the distinct values of both samples: how
 * Evidently bins for the Hellinger distance, whatever the number of values.
 */
export const sharesByDistinctValues = (
  reference: Float64Array,
  current: Float64Array,
  integers: boolean,
): BinnedShares => {
  if (reference.length === 0) throw new EmptySampleError("reference");
  if (current.length === 0) throw new EmptySampleError("current");
  const values = new Set([...countsOfNumbers(reference).keys(), ...countsOfNumbers(current).keys()]);
  return sharesOfBins(reference, current, values.size, integers);
};

const sharesOfBins = (
  reference: Float64Array,
  current: Float64Array,
  values: number,
  integers: boolean,
): BinnedShares => {
  const edges = sturgesEdges(reference, current, values, integers);
  return { reference: histogram(reference, edges), current: histogram(current, edges) };
};

/** Shares by category over the categories of both samples. @throws EmptySampleError naming the empty side. */
export const sharesOfCategories = (reference: CategoryCounts, current: CategoryCounts): BinnedShares => {
  const keys = [...new Set([...reference.keys(), ...current.keys()])];
  const shares = (counts: CategoryCounts, side: string) => {
    const rows = totalOf(counts);
    if (rows === 0) throw new EmptySampleError(side);
    return Float64Array.from(keys, (key) => (counts.get(key) ?? 0) / rows);
  };
  return { reference: shares(reference, "reference"), current: shares(current, "current") };
};

export const totalOf = (counts: CategoryCounts): number => {
  let rows = 0;
  for (const count of counts.values()) rows += count;
  return rows;
};

/** Counts by value; -0 and 0 are one value. @param sorted ascending. */
export const countsOfNumbers = (sorted: Float64Array): Map<number, number> => {
  const counts = new Map<number, number>();
  for (let index = 0; index < sorted.length; index++) {
    const value = sorted[index] as number;
    counts.set(value, (counts.get(value) ?? 0) + 1);
  }
  return counts;
};

/** Distinct values of an ascending sample. */
export const distinctValues = (sorted: Float64Array): number => {
  let distinct = sorted.length === 0 ? 0 : 1;
  for (let index = 1; index < sorted.length; index++) if (sorted[index] !== sorted[index - 1]) distinct++;
  return distinct;
};

const sturgesEdges = (
  reference: Float64Array,
  current: Float64Array,
  values: number,
  integers: boolean,
): Float64Array => {
  const low = Math.min(reference[0] as number, current[0] as number);
  const high = Math.max(reference.at(-1) as number, current.at(-1) as number);
  let width = (high - low) / (Math.log2(values) + 1);
  if (high === low) return Float64Array.of(low - 0.5, high + 0.5);
  if (integers && width < 1) width = 1;
  const bins = Math.max(Math.ceil((high - low) / width), 1);
  const step = (high - low) / bins;
  const edges = Float64Array.from({ length: bins + 1 }, (_, index) => index * step + low);
  edges[bins] = high;
  return edges;
};

/** Shares by bin of an ascending sample; a bin holds its lower edge, and the last one its upper edge too. */
const histogram = (sorted: Float64Array, edges: Float64Array): Float64Array => {
  const shares = new Float64Array(edges.length - 1);
  let before = 0;
  for (let bin = 0; bin < shares.length; bin++) {
    const upper = edges[bin + 1] as number;
    let until = before;
    if (bin === shares.length - 1) until = sorted.length;
    else until = lowerBound(sorted, upper);
    shares[bin] = (until - before) / sorted.length;
    before = until;
  }
  return shares;
};

/** Index of the first value not below. */
const lowerBound = (sorted: Float64Array, value: number): number => {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((sorted[middle] as number) < value) low = middle + 1;
    else high = middle;
  }
  return low;
};
