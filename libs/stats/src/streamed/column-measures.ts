import type { ColumnLayout, ColumnProfile } from "@millrace/contracts/millrace/model/v1/model_package";
import { jensenShannon } from "../exact/jensen-shannon.ts";
import { populationStabilityIndex } from "../exact/population-stability-index.ts";
import { isNumeric } from "../profile/column-data.ts";
import { streamedWasserstein } from "./streamed-wasserstein.ts";

/** A measure of a column of a window; no value says why. */
export type StreamedMeasure =
  | { readonly value: number; readonly errorBound?: number }
  | { readonly noValue: "no data" | "no data in baseline" | "constant baseline" };

/** Jensen–Shannon and PSI of numbers take the baseline's quantile bins together to about this many of equal mass. */
const COARSE_BINS = 10;

/**
 * Wasserstein distance of a window from the baseline, divided by the baseline's standard deviation. For numbers only.
 * The error bound is in the same unit. It is never the exact test's value: both sides are clipped to the baseline's
 * 0.1–99.9 % range.
 */
export const wassersteinMeasure = (
  layout: ColumnLayout,
  baseline: ColumnProfile,
  window: ColumnProfile,
): StreamedMeasure => {
  const missing = missingSide(baseline, window);
  if (missing !== undefined) return missing;
  const distance = streamedWasserstein(layout, baseline, window);
  if (distance === undefined) return { noValue: "no data" };
  const deviation = Math.sqrt(baseline.m2 / Number(baseline.count));
  if (!(deviation > 0)) return { noValue: "constant baseline" };
  return { value: distance.value / deviation, errorBound: distance.errorBound / deviation };
};

/** Jensen–Shannon distance (nats) on the baseline's categories, or on about ten bins of equal baseline mass. */
export const jensenShannonMeasure = (
  layout: ColumnLayout,
  baseline: ColumnProfile,
  window: ColumnProfile,
): StreamedMeasure => {
  const missing = missingSide(baseline, window);
  if (missing !== undefined) return missing;
  const [reference, current] = coarseShares(layout, baseline, window);
  return { value: jensenShannon(reference, current) };
};

/** Population stability index on the same bins as the Jensen–Shannon distance. */
export const populationStabilityIndexMeasure = (
  layout: ColumnLayout,
  baseline: ColumnProfile,
  window: ColumnProfile,
): StreamedMeasure => {
  const missing = missingSide(baseline, window);
  if (missing !== undefined) return missing;
  const [reference, current] = coarseShares(layout, baseline, window);
  return { value: populationStabilityIndex(reference, current) };
};

const missingSide = (baseline: ColumnProfile, window: ColumnProfile): StreamedMeasure | undefined => {
  if (baseline.count === 0n) return { noValue: "no data in baseline" };
  if (window.count === 0n) return { noValue: "no data" };
  return undefined;
};

/** Rows that have a value, are null, or are not a number. */
const askedRows = ({ count, nulls, nans, infinities, wrongType }: ColumnProfile): number =>
  Number(count + nulls + nans + infinities + wrongType);

const share = (rows: bigint, of: number): StreamedMeasure =>
  of === 0 ? { noValue: "no data" } : { value: Number(rows) / of };

/** Share of rows without a usable value: null or not a number. Exact. */
export const nullShareMeasure = (window: ColumnProfile): StreamedMeasure =>
  share(window.nulls + window.nans, askedRows(window));

/** Share of rows outside of the range that the feature's definition declares. Exact. */
export const outOfRangeShareMeasure = (window: ColumnProfile): StreamedMeasure =>
  share(window.outOfRange, askedRows(window));

/** Share of values that the baseline has no category for. Exact. */
export const unseenShareMeasure = (layout: ColumnLayout, window: ColumnProfile): StreamedMeasure =>
  isNumeric(layout.meaning) ? { noValue: "no data" } : share(window.bins.at(-1) ?? 0n, Number(window.count));

/** Share of rows of one FeatureStatus among the rows that say theirs. Exact. */
export const statusShareMeasure = (window: ColumnProfile, status: number): StreamedMeasure =>
  share(window.statuses[status] ?? 0n, Number(window.statuses.reduce((sum, rows) => sum + rows, 0n)));

const coarseShares = (
  layout: ColumnLayout,
  baseline: ColumnProfile,
  window: ColumnProfile,
): readonly [number[], number[]] => {
  const reference: number[] = [];
  const current: number[] = [];
  const baselineRows = Number(baseline.count);
  const windowRows = Number(window.count);
  const coarse = isNumeric(layout.meaning);
  let referenceInBin = 0;
  let currentInBin = 0;
  for (let bin = 0; bin < baseline.bins.length; bin++) {
    referenceInBin += Number(baseline.bins[bin]);
    currentInBin += Number(window.bins[bin]);
    if (coarse && referenceInBin * COARSE_BINS < baselineRows && bin < baseline.bins.length - 1) continue;
    reference.push(referenceInBin / baselineRows);
    current.push(currentInBin / windowRows);
    referenceInBin = 0;
    currentInBin = 0;
  }
  return [reference, current];
};
