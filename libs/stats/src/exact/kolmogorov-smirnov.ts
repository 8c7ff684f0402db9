import { EmptySampleError } from "../empty-sample-error.ts";
import { kolmogorovSurvival } from "./kolmogorov-distribution.ts";

/** A test's statistic and the chance of one as large, or larger, where nothing differs. */
export interface TestResult {
  readonly statistic: number;
  readonly pValue: number;
}

/** Up to this many rows on the larger side the p-value is counted exactly, as SciPy does by default. */
const EXACT_ROWS = 10_000;

/**
 * Two-sample Kolmogorov–Smirnov test, two-sided. The p-value is exact up to 10,000 rows a side (lattice paths; Hodges
 * 1957, in the recurrence of Viehmann 2021), above from the finite-n distribution of D with n·m/(n+m) rows.
 * @param reference finite values in ascending order, at least one. @param current likewise.
 * @returns equals SciPy's `ks_2samp`. @throws EmptySampleError naming the empty side.
 */
export const kolmogorovSmirnov = (reference: Float64Array, current: Float64Array): TestResult => {
  if (reference.length === 0) throw new EmptySampleError("reference");
  if (current.length === 0) throw new EmptySampleError("current");
  const statistic = largestDistance(reference, current);
  const n = reference.length;
  const m = current.length;
  const divisor = greatestCommonDivisor(n, m);
  const leastCommonMultiple = (n / divisor) * m;
  if (Math.max(n, m) <= EXACT_ROWS && n / divisor < 2147483647 / (m / divisor)) {
    const steps = Math.round(statistic * leastCommonMultiple);
    const pValue = steps === 0 ? 1 : n === m ? outsideOfSquare(n, steps) : outsideOfBand(n, m, divisor, steps);
    return { statistic: steps / leastCommonMultiple, pValue: Math.min(Math.max(pValue, 0), 1) };
  }
  return { statistic, pValue: kolmogorovSurvival(statistic, roundHalfToEven((n * m) / (n + m))) };
};

const largestDistance = (a: Float64Array, b: Float64Array): number => {
  let i = 0;
  let j = 0;
  let largest = 0;
  while (i < a.length && j < b.length) {
    const value = Math.min(a[i] as number, b[j] as number);
    while (i < a.length && (a[i] as number) <= value) i++;
    while (j < b.length && (b[j] as number) <= value) j++;
    const distance = Math.abs(i / a.length - j / b.length);
    if (distance > largest) largest = distance;
  }
  return largest;
};

const greatestCommonDivisor = (a: number, b: number): number => (b === 0 ? a : greatestCommonDivisor(b, a % b));

const roundHalfToEven = (value: number): number => {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
};

/** Share of lattice paths of a square that touch |x - y| >= h: alternating binomials by reflection, as nested products. */
const outsideOfSquare = (n: number, h: number): number => {
  let share = 0;
  for (let k = Math.floor(n / h); k >= 0; k--) {
    let factor = 1;
    for (let j = 0; j < h; j++) factor = ((n - k * h - j) * factor) / (n + k * h + j + 1);
    share = factor * (1 - share);
  }
  return 2 * share;
};

/**
 * Share of lattice paths from (0, 0) to (n, m) that touch or leave the band |x/n - y/m| < steps / lcm. `left[y]` is that
 * share for the paths to (x, y): a path comes from below or from the left in proportion to y and x.
 */
const outsideOfBand = (rows: number, columns: number, divisor: number, steps: number): number => {
  const n = Math.max(rows, columns);
  const m = Math.min(rows, columns);
  const nStep = n / divisor;
  const mStep = m / divisor;
  const left = new Float64Array(m + 1).fill(1);
  const firstEnd = Math.min(Math.ceil(steps / nStep), m + 1);
  left.fill(0, 0, firstEnd);
  for (let x = 1; x <= n; x++) {
    const begin = Math.min(Math.max(Math.floor((mStep * x - steps) / nStep) + 1, 0), m + 1);
    const end = Math.min(Math.ceil((mStep * x + steps) / nStep), m + 1);
    if (end <= begin) return 1;
    if (begin > 0) left[begin - 1] = 1;
    let below = begin > 0 ? 1 : 0;
    for (let y = begin; y < end; y++) {
      const fromLeft = left[y] as number;
      below = y === 0 ? fromLeft : (fromLeft * x + below * y) / (x + y);
      left[y] = below;
    }
  }
  return left[m] as number;
};
