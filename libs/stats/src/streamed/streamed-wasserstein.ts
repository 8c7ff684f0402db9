import type { ColumnLayout, ColumnProfile } from "@millrace/contracts/millrace/model/v1/model_package";

/** A measure of two profiles, with how far the exact value may lie above it. */
export interface StreamedDistance {
  readonly value: number;
  readonly errorBound: number;
}

/**
 * Wasserstein-1 distance of two profiles of one layout, over the values clipped to the layout's 0.1–99.9 % range, in the
 * column's unit.
 *
 * The distribution functions F and G are known at every edge, and their integrals over each bin are known exactly, since
 * the bin holds the sum of its values: ∫F over [a, b) is F(a)(b − a) plus the sum of (b − x)/n over the bin's rows. So the
 * signed area of F − G is exact in each bin, and the sum of the absolute areas is the distance wherever F and G do not
 * cross inside of a bin. Where they may cross, the missing part is at most twice the smaller of two areas:
 * that of the smaller function over the lesser start, and that of the greater end over the larger function.
 * @returns undefined where a side has no value. The exact distance of the clipped values lies in [value, value + bound].
 */
export const streamedWasserstein = (
  layout: ColumnLayout,
  reference: ColumnProfile,
  current: ColumnProfile,
): StreamedDistance | undefined => {
  const n = Number(reference.count);
  const m = Number(current.count);
  if (n === 0 || m === 0) return undefined;
  const { edges, clipLow, clipHigh } = layout;
  let f = 0;
  let g = 0;
  let value = 0;
  let errorBound = 0;
  let low = clipLow;
  for (let bin = 0; bin < reference.bins.length; bin++) {
    const edge = bin < edges.length ? (edges[bin] as number) : clipHigh;
    const high = Math.min(Math.max(edge, clipLow), clipHigh);
    const width = high - low;
    const inF = Number(reference.bins[bin]) / n;
    const inG = Number(current.bins[bin]) / m;
    const fEnd = f + inF;
    const gEnd = g + inG;
    if (width > 0) {
      // Sums hold x − clipLow; (high − clipLow)·rows − sum is the sum of high − x.
      const areaF = f * width + (inF * (high - clipLow) - (reference.binSums[bin] as number) / n);
      const areaG = g * width + (inG * (high - clipLow) - (current.binSums[bin] as number) / m);
      value += Math.abs(areaF - areaG);
      const mayCross = !(f >= gEnd || g >= fEnd);
      if (mayCross) {
        const [larger, smaller] = areaF >= areaG ? [areaF, areaG] : [areaG, areaF];
        const overStart = smaller - Math.min(f, g) * width;
        const underEnd = Math.max(fEnd, gEnd) * width - larger;
        errorBound += 2 * Math.max(0, Math.min(overStart, underEnd));
      }
    }
    f = fEnd;
    g = gEnd;
    low = high;
  }
  return { value, errorBound };
};
