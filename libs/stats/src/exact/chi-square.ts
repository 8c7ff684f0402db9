import gammainc from "@stdlib/math-base-special-gammainc";
import { EmptySampleError } from "../empty-sample-error.ts";
import { type CategoryCounts, totalOf } from "./binned-shares.ts";
import type { TestResult } from "./kolmogorov-smirnov.ts";

/**
 * Chi-square goodness of fit of the current counts to the reference's, scaled to as many rows, as Evidently tests it. The
 * reference is taken as exact: its own error is ignored, and a single row of a category that it lacks gives p = 0.
 * @returns equals SciPy's `chisquare`; p = 1 where there is one category only (no degree of freedom).
 * @throws EmptySampleError naming the empty side.
 */
export const chiSquare = (reference: CategoryCounts, current: CategoryCounts): TestResult => {
  const referenceRows = totalOf(reference);
  const currentRows = totalOf(current);
  if (referenceRows === 0) throw new EmptySampleError("reference");
  if (currentRows === 0) throw new EmptySampleError("current");
  const keys = new Set([...reference.keys(), ...current.keys()]);
  const scale = currentRows / referenceRows;
  let statistic = 0;
  for (const key of keys) {
    const expected = (reference.get(key) ?? 0) * scale;
    const observed = current.get(key) ?? 0;
    statistic += (observed - expected) ** 2 / expected;
  }
  return { statistic, pValue: chiSquareSurvival(statistic, keys.size - 1) };
};

/** P(X >= statistic) of a chi-square variable: the upper incomplete gamma function, which keeps the digits of the tail. */
export const chiSquareSurvival = (statistic: number, degreesOfFreedom: number): number => {
  if (degreesOfFreedom === 0) return 1;
  if (statistic === Number.POSITIVE_INFINITY) return 0;
  return gammainc(statistic / 2, degreesOfFreedom / 2, true, true);
};
