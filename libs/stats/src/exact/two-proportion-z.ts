import erfc from "@stdlib/math-base-special-erfc";
import { EmptySampleError } from "../empty-sample-error.ts";
import { type CategoryCounts, totalOf } from "./binned-shares.ts";
import type { TestResult } from "./kolmogorov-smirnov.ts";

/**
 * Two-proportion z test of a column with at most two values, with the pooled variance. The p-value is taken from the
 * complementary error function, so it keeps its digits far below 1e-16.
 * @returns p = 1 where both samples are the same constant. @throws EmptySampleError naming the empty side.
 */
export const twoProportionZ = (reference: CategoryCounts, current: CategoryCounts): TestResult => {
  const referenceRows = totalOf(reference);
  const currentRows = totalOf(current);
  if (referenceRows === 0) throw new EmptySampleError("reference");
  if (currentRows === 0) throw new EmptySampleError("current");
  const keys = [...new Set([...reference.keys(), ...current.keys()])].sort((a, b) => (a < b ? -1 : 1));
  if (keys.length > 2) throw new RangeError(`The z test compares two values, got ${keys.length}.`);
  const first = keys[0] as string | number;
  const shareOfReference = 1 - (reference.get(first) ?? 0) / referenceRows;
  const shareOfCurrent = 1 - (current.get(first) ?? 0) / currentRows;
  const pooled = (shareOfReference * referenceRows + shareOfCurrent * currentRows) / (referenceRows + currentRows);
  const variance = pooled * (1 - pooled) * (1 / referenceRows + 1 / currentRows);
  if (keys.length === 1) return { statistic: 0, pValue: 1 };
  const statistic = (shareOfReference - shareOfCurrent) / Math.sqrt(variance);
  return { statistic, pValue: erfc(Math.abs(statistic) / Math.SQRT2) };
};
