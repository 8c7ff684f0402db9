import { ComparisonInvalidError } from "../comparison-invalid-error.ts";
import { andersonDarling } from "./anderson-darling.ts";
import {
  type CategoryCounts,
  countsOfNumbers,
  sharesByDistinctValues,
  sharesOfCategories,
  sharesOfNumbers,
  totalOf,
} from "./binned-shares.ts";
import { chiSquare } from "./chi-square.ts";
import { cramerVonMises } from "./cramer-von-mises.ts";
import { energyDistance } from "./energy-distance.ts";
import { hellinger } from "./hellinger.ts";
import { jensenShannon } from "./jensen-shannon.ts";
import { kolmogorovSmirnov } from "./kolmogorov-smirnov.ts";
import { kullbackLeibler } from "./kullback-leibler.ts";
import { populationStabilityIndex } from "./population-stability-index.ts";
import { totalVariation } from "./total-variation.ts";
import { twoProportionZ } from "./two-proportion-z.ts";
import { normedWasserstein } from "./wasserstein.ts";

/** All values of one column that are not null and not infinite. */
export type Sample =
  | { readonly kind: "numbers" /** Ascending. */; readonly sorted: Float64Array; readonly integers: boolean }
  | { readonly kind: "categories"; readonly counts: CategoryCounts };

/** What a test says of two samples: a distance, or a statistic with its p-value. */
export interface DriftScore {
  readonly value: number;
  readonly pValue?: number;
}

/** A drift test with the threshold that Evidently has for it. */
export interface DriftTest {
  readonly name: string;
  /** Whether it needs an order. */
  readonly numbersOnly: boolean;
  /** Most distinct values of both samples together; absent: any. */
  readonly mostValues?: number;
  readonly threshold: number;
  readonly drifts: (score: DriftScore) => boolean;
  readonly score: (reference: Sample, current: Sample) => DriftScore;
}

const numbersOf = (sample: Sample): Float64Array => {
  if (sample.kind === "numbers") return sample.sorted;
  throw new TypeError("A test of numbers was given categories.");
};

const countsOf = (sample: Sample): CategoryCounts =>
  sample.kind === "numbers" ? countsOfNumbers(sample.sorted) : sample.counts;

const sharesOf = (reference: Sample, current: Sample) =>
  reference.kind === "numbers" && current.kind === "numbers"
    ? sharesOfNumbers(reference.sorted, current.sorted, reference.integers && current.integers)
    : sharesOfCategories(countsOf(reference), countsOf(current));

const fromTest = ({ statistic, pValue }: { readonly statistic: number; readonly pValue: number }): DriftScore => ({
  value: statistic,
  pValue,
});

const atLeast =
  (threshold: number) =>
  ({ value }: DriftScore): boolean =>
    value >= threshold;

const below = ({ pValue }: DriftScore): boolean => pValue !== undefined && pValue < 0.05;

/** Every test by its name. */
export const driftTests: Readonly<Record<string, DriftTest>> = {
  ks: {
    name: "ks",
    numbersOnly: true,
    threshold: 0.05,
    drifts: ({ pValue }) => pValue !== undefined && pValue <= 0.05,
    score: (reference, current) => fromTest(kolmogorovSmirnov(numbersOf(reference), numbersOf(current))),
  },
  wasserstein: {
    name: "wasserstein",
    numbersOnly: true,
    threshold: 0.1,
    drifts: atLeast(0.1),
    score: (reference, current) => ({ value: normedWasserstein(numbersOf(reference), numbersOf(current)) }),
  },
  jensenshannon: {
    name: "jensenshannon",
    numbersOnly: false,
    threshold: 0.1,
    drifts: atLeast(0.1),
    score: (reference, current) => {
      const shares = sharesOf(reference, current);
      return { value: jensenShannon(shares.reference, shares.current) };
    },
  },
  psi: {
    name: "psi",
    numbersOnly: false,
    threshold: 0.1,
    drifts: atLeast(0.1),
    score: (reference, current) => {
      const shares = sharesOf(reference, current);
      return { value: populationStabilityIndex(shares.reference, shares.current) };
    },
  },
  chisquare: {
    name: "chisquare",
    numbersOnly: false,
    threshold: 0.05,
    drifts: below,
    score: (reference, current) => fromTest(chiSquare(countsOf(reference), countsOf(current))),
  },
  z: {
    name: "z",
    numbersOnly: false,
    mostValues: 2,
    threshold: 0.05,
    drifts: below,
    score: (reference, current) => fromTest(twoProportionZ(countsOf(reference), countsOf(current))),
  },
  cramer_von_mises: {
    name: "cramer_von_mises",
    numbersOnly: true,
    threshold: 0.1,
    drifts: ({ pValue }) => pValue !== undefined && pValue <= 0.1,
    score: (reference, current) => fromTest(cramerVonMises(numbersOf(reference), numbersOf(current))),
  },
  anderson: {
    name: "anderson",
    numbersOnly: true,
    threshold: 0.1,
    drifts: ({ pValue }) => pValue !== undefined && pValue < 0.1,
    score: (reference, current) => fromTest(andersonDarling(numbersOf(reference), numbersOf(current))),
  },
  energy: {
    name: "energy",
    numbersOnly: true,
    threshold: 0.1,
    drifts: ({ value }) => value > 0.1,
    score: (reference, current) => ({ value: energyDistance(numbersOf(reference), numbersOf(current)) }),
  },
  kl_div: {
    name: "kl_div",
    numbersOnly: false,
    threshold: 0.1,
    drifts: atLeast(0.1),
    score: (reference, current) => {
      const shares = sharesOf(reference, current);
      return { value: kullbackLeibler(shares.reference, shares.current) };
    },
  },
  hellinger: {
    name: "hellinger",
    numbersOnly: false,
    threshold: 0.1,
    drifts: atLeast(0.1),
    score: (reference, current) => {
      const shares =
        reference.kind === "numbers" && current.kind === "numbers"
          ? sharesByDistinctValues(reference.sorted, current.sorted, reference.integers && current.integers)
          : sharesOfCategories(countsOf(reference), countsOf(current));
      return { value: hellinger(shares.reference, shares.current) };
    },
  },
  total_variation: {
    name: "total_variation",
    numbersOnly: false,
    threshold: 0.1,
    drifts: atLeast(0.1),
    score: (reference, current) => {
      const shares = sharesOf(reference, current);
      return { value: totalVariation(shares.reference, shares.current) };
    },
  },
};

/** @throws ComparisonInvalidError for a name that is no test, with the known ones. */
export const driftTest = (name: string): DriftTest => {
  const test = Object.hasOwn(driftTests, name) ? driftTests[name] : undefined;
  if (test !== undefined) return test;
  const known = Object.keys(driftTests).join(", ");
  throw new ComparisonInvalidError(`There is no drift test \`${name}\`. Known: ${known}.`, [
    { field: "tests", expected: `one of ${known}`, got: name },
  ]);
};

/** How many values a sample has, and how many distinct values two samples have together. */
export const rowsOf = (sample: Sample): number =>
  sample.kind === "numbers" ? sample.sorted.length : totalOf(sample.counts);

/** Distinct values of both samples, counted up to a limit. */
export const distinctOfBoth = (reference: Sample, current: Sample, limit: number): number => {
  const seen = new Set<string | number>();
  for (const sample of [reference, current]) {
    if (sample.kind === "categories") for (const key of sample.counts.keys()) seen.add(key);
    else
      for (let index = 0; index < sample.sorted.length && seen.size <= limit; index++)
        if (index === 0 || sample.sorted[index] !== sample.sorted[index - 1]) seen.add(sample.sorted[index] as number);
  }
  return seen.size;
};

/** The size of a reference from which effect sizes are asked instead of p-values. */
const LARGE_REFERENCE = 1000;

/** The test that Evidently takes by default, by type and size: see the README. */
export const defaultDriftTest = (reference: Sample, current: Sample): DriftTest => {
  const distinct = distinctOfBoth(reference, current, 5);
  const few = reference.kind === "categories" || distinct <= 5;
  if (rowsOf(reference) > LARGE_REFERENCE) return driftTest(few ? "jensenshannon" : "wasserstein");
  if (!few) return driftTest("ks");
  return driftTest(distinct > 2 ? "chisquare" : "z");
};
