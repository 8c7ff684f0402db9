/*
 * The distribution of Kolmogorov's two-sided statistic D of n values, for finite n: which method holds where follows
 * Simard and L'Ecuyer 2011 ("Computing the two-sided Kolmogorov–Smirnov distribution", J. Stat. Softw. 39), table 1.
 *
 *   n·d <= 1, n·d >= n-1      closed forms (Ruben and Gambino 1982)
 *   d >= 1/2, or n·d² large   twice the one-sided tail (Smirnov; Miller 1956)
 *   n·d² small                Durbin's matrix (Marsaglia, Tsang and Wang 2003)
 *   else                      the series of Pelz and Good 1976
 */

import gammaln from "@stdlib/math-base-special-gammaln";

/**
 * P(D >= d) for n values: the survival function that SciPy calls `kstwo.sf`.
 * @param d in [0, 1]. @param n a whole number, at least 1.
 */
export const kolmogorovSurvival = (d: number, n: number): number => {
  const t = n * d;
  if (d >= 1) return 0;
  if (t <= 0.5) return 1;
  if (t <= 1) return clip(1 - Math.exp(gammaln(n + 1) - n * Math.log(n) + n * Math.log(2 * t - 1)));
  if (t >= n - 1) return clip(2 * (1 - d) ** n);
  if (d >= 0.5) return clip(2 * smirnovSurvival(d, n));
  const squared = t * d;
  if (n <= 140) return squared <= 4 ? clip(1 - durbinMatrix(d, n)) : clip(2 * smirnovSurvival(d, n));
  if (squared >= 370) return 0;
  if (squared >= 2.2) return clip(2 * smirnovSurvival(d, n));
  if (n <= 100_000 && n * d ** 1.5 <= 1.4) return clip(1 - durbinMatrix(d, n));
  return clip(1 - pelzGood(d, n));
};

const clip = (probability: number): number => Math.min(Math.max(probability, 0), 1);

/**
 * P(D+ >= d), the one-sided tail: the sum over v of C(n, v) a^(v-1) (1-a)^(n-v) d with a = d + v/n. Each term is the
 * binomial probability of v successes at chance a, times d/a, which Loader's formula gives to full precision.
 */
const smirnovSurvival = (d: number, n: number): number => {
  let sum = 0;
  const last = Math.floor(n * (1 - d));
  for (let v = 0; v <= last; v++) {
    const a = d + v / n;
    if (a >= 1) break;
    sum += (binomialProbability(v, n, a, 1 - d - v / n) * d) / a;
  }
  return sum;
};

/** Loader 2000, "Fast and accurate computation of binomial probabilities". @param q is 1 - p, given for its digits. */
const binomialProbability = (successes: number, n: number, p: number, q: number): number => {
  if (successes === 0) return Math.exp(n * Math.log1p(-p));
  if (successes === n) return p ** n;
  const rest = n - successes;
  const logarithm =
    stirlingError(n) -
    stirlingError(successes) -
    stirlingError(rest) -
    deviance(successes, n * p) -
    deviance(rest, n * q);
  return Math.exp(logarithm) * Math.sqrt(n / (2 * Math.PI * successes * rest));
};

/** log(n!) less Stirling's approximation. */
const stirlingError = (n: number): number => {
  if (n < 16) return gammaln(n + 1) - (n + 0.5) * Math.log(n) + n - Math.log(2 * Math.PI) / 2;
  const s = 1 / (n * n);
  return (1 / 12 - s * (1 / 360 - s * (1 / 1260 - s * (1 / 1680 - s / 1188)))) / n;
};

/** x log(x/m) + m - x, without cancellation where x is near m. */
const deviance = (x: number, m: number): number => {
  if (Math.abs(x - m) >= 0.1 * (x + m)) return x * Math.log(x / m) + m - x;
  const v = (x - m) / (x + m);
  let sum = (x - m) * v;
  let term = 2 * x * v;
  for (let j = 1; ; j++) {
    term *= v * v;
    const next = sum + term / (2 * j + 1);
    if (next === sum) return next;
    sum = next;
  }
};

const SCALE = 2 ** 128;

/** P(D < d) by powers of Durbin's matrix, scaled on the way. Memory (2 n d)², time (2 n d)³ log n. */
const durbinMatrix = (d: number, n: number): number => {
  const k = Math.ceil(n * d);
  const h = k - n * d;
  const m = 2 * k - 1;
  let matrix = new Float64Array(m * m);
  const inverseFactorial = new Float64Array(m + 1);
  inverseFactorial[0] = 1;
  for (let i = 1; i <= m; i++) inverseFactorial[i] = (inverseFactorial[i - 1] as number) / i;
  for (let row = 0; row < m; row++)
    for (let column = 0; column < m; column++)
      if (row - column + 1 >= 0) matrix[row * m + column] = inverseFactorial[row - column + 1] as number;
  for (let i = 0; i < m; i++) {
    const edge = (1 - h ** (i + 1)) * (inverseFactorial[i + 1] as number);
    matrix[i * m] = edge;
    matrix[(m - 1) * m + (m - 1 - i)] = edge;
  }
  matrix[(m - 1) * m] = (1 - 2 * h ** m + Math.max(0, 2 * h - 1) ** m) * (inverseFactorial[m] as number);

  let power = new Float64Array(m * m);
  for (let i = 0; i < m; i++) power[i * m + i] = 1;
  let powerExponent = 0;
  let matrixExponent = 0;
  for (let left = n; left > 0; left = Math.floor(left / 2)) {
    if (left % 2 === 1) {
      power = multiply(power, matrix, m);
      powerExponent += matrixExponent;
    }
    matrix = multiply(matrix, matrix, m);
    matrixExponent *= 2;
    if ((matrix[(k - 1) * m + k - 1] as number) > SCALE) {
      matrix = matrix.map((each) => each / SCALE);
      matrixExponent += 128;
    }
  }
  let probability = power[(k - 1) * m + k - 1] as number;
  for (let i = 1; i <= n; i++) {
    probability *= i / n;
    if (probability < 1 / SCALE) {
      probability *= SCALE;
      powerExponent -= 128;
    }
  }
  return probability * 2 ** powerExponent;
};

const multiply = (a: Float64Array, b: Float64Array, m: number): Float64Array<ArrayBuffer> => {
  const product = new Float64Array(m * m);
  for (let row = 0; row < m; row++)
    for (let inner = 0; inner < m; inner++) {
      const factor = a[row * m + inner] as number;
      if (factor === 0) continue;
      for (let column = 0; column < m; column++)
        product[row * m + column] = (product[row * m + column] as number) + factor * (b[inner * m + column] as number);
    }
  return product;
};

/** P(D <= d) by the first four terms of Pelz and Good's series, in its form for small d·sqrt(n). */
const pelzGood = (d: number, n: number): number => {
  const z = Math.sqrt(n) * d;
  const z2 = z * z;
  const z4 = z2 * z2;
  const z6 = z4 * z2;
  const pi2 = Math.PI ** 2;
  const pi4 = pi2 * pi2;
  const pi6 = pi4 * pi2;
  let k0 = 0;
  let k1 = 0;
  let k2 = 0;
  let k3 = 0;
  let k2Whole = 0;
  let k3Whole = 0;
  for (let k = Math.ceil((16 * z) / Math.PI); k >= 0; k--) {
    const half = (k + 0.5) ** 2;
    const halfWeight = Math.exp((-pi2 * half) / (2 * z2));
    k0 += halfWeight;
    k1 += (pi2 * half - z2) * halfWeight;
    k2 += (6 * z6 + 2 * z4 + pi2 * (2 * z4 - 5 * z2) * half + pi4 * (1 - 2 * z2) * half ** 2) * halfWeight;
    k3 +=
      (pi6 * half ** 3 * (5 - 30 * z2) +
        pi4 * half ** 2 * (-60 * z2 + 212 * z4) +
        pi2 * half * (135 * z4 - 96 * z6) -
        30 * z6 -
        90 * z4 * z4) *
      halfWeight;
    const whole = k ** 2;
    const wholeWeight = Math.exp((-pi2 * whole) / (2 * z2));
    k2Whole += pi2 * whole * wholeWeight;
    k3Whole += (3 * pi2 * whole * z2 - pi4 * whole ** 2) * wholeWeight;
  }
  // The sums over all integers are twice those over one side; sqrt(2 pi) = 2 sqrt(pi / 2).
  const root = Math.sqrt(2 * Math.PI);
  return (
    (root * k0) / z +
    (root * k1) / (6 * z4) / Math.sqrt(n) +
    (root * (k2 / (72 * z6 * z) - k2Whole / (36 * z2 * z))) / n +
    (root * (k3 / (6480 * z6 * z4) + k3Whole / (216 * z6))) / n ** 1.5
  );
};
