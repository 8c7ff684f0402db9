import { TooFewRowsError } from "../too-few-rows-error.ts";
import type { TestResult } from "./kolmogorov-smirnov.ts";
import { pooledValues } from "./pooled-values.ts";

/** Up to this many rows on the larger side the p-value is counted exactly, as SciPy does by default. */
const exactRows = 20;

/**
 * Two-sample Cramér–von Mises test. The p-value is counted exactly up to 20 rows a side (Xiao, Gordon and Yakovlev 2006),
 * above from the limit distribution with the statistic scaled to its mean and variance (Anderson 1962; Csörgő and Faraway
 * 1996). Ties have their mean rank.
 * @param reference finite values in ascending order, at least two. @param current likewise.
 * @returns equals SciPy's `cramervonmises_2samp`. @throws TooFewRowsError
 */
export const cramerVonMises = (reference: Float64Array, current: Float64Array): TestResult => {
  const n = reference.length;
  const m = current.length;
  if (n < 2 || m < 2) throw new TooFewRowsError("cramer_von_mises", 2, "a side", Math.min(n, m));
  const u = rankSum(reference, current);
  const product = n * m;
  const total = n + m;
  const statistic = u / (product * total) - (4 * product - 1) / (6 * total);
  if (Math.max(n, m) <= exactRows) return { statistic, pValue: exactSurvival(u, n, m) };
  const mean = (1 + 1 / total) / 6;
  const variance =
    ((total + 1) * (4 * product * total - 3 * (n ** 2 + m ** 2) - 2 * product)) / (45 * total ** 2 * 4 * product);
  const scaled = 1 / 6 + (statistic - mean) / Math.sqrt(45 * variance);
  return { statistic, pValue: scaled < 0.003 ? 1 : Math.max(0, 1 - limitDistribution(scaled)) };
};

/** U of Anderson 1962: how far the ranks of each side lie from those that it would have alone, each side by its rows. */
const rankSum = (reference: Float64Array, current: Float64Array): number => {
  let ofReference = 0;
  let ofCurrent = 0;
  for (const { referenceBelow, referenceAt, currentBelow, currentAt } of pooledValues(reference, current)) {
    const rank = referenceBelow + currentBelow + (referenceAt + currentAt + 1) / 2;
    for (let own = referenceBelow + 1; own <= referenceBelow + referenceAt; own++) ofReference += (rank - own) ** 2;
    for (let own = currentBelow + 1; own <= currentBelow + currentAt; own++) ofCurrent += (rank - own) ** 2;
  }
  return reference.length * ofReference + current.length * ofCurrent;
};

/** Share of the orders of both sides' rows whose statistic is as large or larger, counted along lattice paths. */
const exactSurvival = (u: number, n: number, m: number): number => {
  const multiple = (n / greatestCommonDivisor(n, m)) * m;
  const stepOfN = multiple / n;
  const stepOfM = multiple / m;
  const product = n * m;
  const least = Math.floor((multiple ** 2 * (n + m) * (6 * u - product * (4 * product - 1))) / (6 * product ** 2));
  let paths: Map<number, number>[] = Array.from({ length: n + 1 }, (_, index) => new Map(index === 0 ? [[0, 1]] : []));
  for (let column = 0; column <= m; column++) {
    const next: Map<number, number>[] = [];
    let reached = new Map<number, number>();
    for (let row = 0; row <= n; row++) {
      const together = new Map(reached);
      for (const [value, count] of paths[row] ?? []) together.set(value, (together.get(value) ?? 0) + count);
      const distance = (stepOfN * row - stepOfM * column) ** 2;
      reached = new Map(Array.from(together, ([value, count]) => [value + distance, count]));
      next.push(reached);
    }
    paths = next;
  }
  let all = 0;
  let asLarge = 0;
  for (const [value, count] of paths[n] ?? []) {
    all += count;
    if (value >= least) asLarge += count;
  }
  return asLarge / all;
};

const greatestCommonDivisor = (a: number, b: number): number => (b === 0 ? a : greatestCommonDivisor(b, a % b));

/** Terms below this are the last, as SciPy's. */
const lastTerm = 1e-7;

/** P(W² ≤ x) of infinitely many rows: equation 1.3 of Csörgő and Faraway 1996. */
const limitDistribution = (x: number): number => {
  let total = 0;
  // Γ(k + 1/2) / Γ(k + 1), by the ratio of one to the next.
  let gammas = Math.sqrt(Math.PI);
  for (let k = 0; ; k++) {
    if (k > 0) gammas *= (k - 0.5) / k;
    const y = 4 * k + 1;
    const q = y ** 2 / (16 * x);
    const term = (gammas / (Math.PI ** 1.5 * Math.sqrt(x))) * Math.sqrt(y) * decayedBessel(q);
    total += term;
    if (term < lastTerm) return total;
  }
};

/** e^−q K¼(q), by its integral over cosh, which the trapezoidal rule gives to all digits: DLMF 10.32.9. */
const decayedBessel = (q: number): number => {
  const step = 1 / 16;
  let sum = Math.exp(-2 * q) / 2;
  for (let t = step; ; t += step) {
    const exponent = -q * (Math.cosh(t) + 1);
    if (exponent < -745) return sum * step;
    sum += Math.exp(exponent) * Math.cosh(t / 4);
  }
};
