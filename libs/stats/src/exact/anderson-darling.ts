import { ConstantSampleError } from "../constant-sample-error.ts";
import { TooFewRowsError } from "../too-few-rows-error.ts";
import type { TestResult } from "./kolmogorov-smirnov.ts";
import { pooledValues } from "./pooled-values.ts";

/** Significance levels, and the statistic at each for two samples: table 2 of Scholz and Stephens 1987. */
const levels = [0.25, 0.1, 0.05, 0.025, 0.01, 0.005, 0.001];
const critical = [
  [0.675, -0.245, -0.105],
  [1.281, 0.25, -0.305],
  [1.645, 0.678, -0.362],
  [1.96, 1.149, -0.391],
  [2.326, 1.822, -0.396],
  [2.573, 2.364, -0.345],
  [3.085, 3.615, -0.154],
].map(([base = 0, byRoot = 0, byRows = 0]) => base + byRoot + byRows);

/**
 * Two-sample Anderson–Darling test, with mid-ranks for ties (Scholz and Stephens 1987). The p-value is read off a curve
 * through seven tabled levels: it is between 0.001 and 0.25, where it stands for all smaller and all larger ones.
 * @param reference finite values in ascending order. @param current likewise.
 * @returns equals SciPy's `anderson_ksamp`; the statistic may be negative.
 * @throws TooFewRowsError for fewer than four rows together, ConstantSampleError where all values are one.
 */
export const andersonDarling = (reference: Float64Array, current: Float64Array): TestResult => {
  const n = reference.length;
  const m = current.length;
  const rows = n + m;
  if (n === 0 || m === 0 || rows < 4) throw new TooFewRowsError("anderson", 4, "together", rows);
  let ofReference = 0;
  let ofCurrent = 0;
  let values = 0;
  for (const { referenceBelow, referenceAt, currentBelow, currentAt } of pooledValues(reference, current)) {
    values++;
    const at = referenceAt + currentAt;
    const below = referenceBelow + currentBelow + at / 2;
    const spread = below * (rows - below) - (rows * at) / 4;
    const share = at / rows;
    ofReference += (share * (rows * (referenceBelow + referenceAt / 2) - below * n) ** 2) / spread;
    ofCurrent += (share * (rows * (currentBelow + currentAt / 2) - below * m) ** 2) / spread;
  }
  if (values < 2) throw new ConstantSampleError("anderson");
  const distance = ((ofReference / n + ofCurrent / m) * (rows - 1)) / rows;
  const statistic = (distance - 1) / Math.sqrt(varianceOf(n, m));
  return { statistic, pValue: significance(statistic) };
};

/** The variance of the distance where nothing differs: equation 4 of Scholz and Stephens, for two samples. */
const varianceOf = (n: number, m: number): number => {
  const rows = n + m;
  const reciprocals = 1 / n + 1 / m;
  let harmonic = 0;
  let g = 0;
  for (let index = 0; index < rows - 2; index++) {
    harmonic += 1 / (rows - 1 - index);
    g += harmonic / (index + 2);
  }
  const h = harmonic + 1;
  const a = (4 * g - 6) * 1 + (10 - 6 * g) * reciprocals;
  const b = (2 * g - 4) * 4 + 8 * h * 2 + (2 * g - 14 * h - 4) * reciprocals - 8 * h + 4 * g - 6;
  const c = (6 * h + 2 * g - 2) * 4 + (4 * h - 4 * g + 6) * 2 + (2 * h - 6) * reciprocals + 4 * h;
  const d = (2 * h + 6) * 4 - 4 * h * 2;
  return (a * rows ** 3 + b * rows ** 2 + c * rows + d) / ((rows - 1) * (rows - 2) * (rows - 3));
};

const significance = (statistic: number): number => {
  const [lowest = 0] = critical;
  const highest = critical.at(-1) ?? 0;
  if (statistic < lowest) return 0.25;
  if (statistic > highest) return 0.001;
  const [constant, linear, square] = curve;
  return Math.exp(constant + linear * statistic + square * statistic ** 2);
};

/** The parabola that fits the logarithms of the levels best, by least squares. */
const fitParabola = (xs: readonly number[], ys: readonly number[]): readonly [number, number, number] => {
  // Around their middle, so that the normal equations keep their digits.
  const middle = xs.reduce((sum, x) => sum + x, 0) / xs.length;
  const moment = (power: number, of: (index: number) => number): number =>
    xs.reduce((sum, x, index) => sum + (x - middle) ** power * of(index), 0);
  const s = [0, 1, 2, 3, 4].map((power) => moment(power, () => 1)) as [number, number, number, number, number];
  const t = [0, 1, 2].map((power) => moment(power, (index) => ys[index] ?? 0)) as [number, number, number];
  const determinant = (p: number[], q: number[], r: number[]): number => {
    const [a = 0, b = 0, c = 0] = p;
    const [d = 0, e = 0, f = 0] = q;
    const [g = 0, h = 0, i = 0] = r;
    return a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g);
  };
  const [s0, s1, s2, s3, s4] = s;
  const whole = determinant([s0, s1, s2], [s1, s2, s3], [s2, s3, s4]);
  const c0 = determinant([t[0], s1, s2], [t[1], s2, s3], [t[2], s3, s4]) / whole;
  const c1 = determinant([s0, t[0], s2], [s1, t[1], s3], [s2, t[2], s4]) / whole;
  const c2 = determinant([s0, s1, t[0]], [s1, s2, t[1]], [s2, s3, t[2]]) / whole;
  return [c0 - c1 * middle + c2 * middle ** 2, c1 - 2 * c2 * middle, c2];
};

const curve = fitParabola(critical, levels.map(Math.log));
