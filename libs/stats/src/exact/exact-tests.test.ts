import { readFileSync } from "node:fs";
import { MillraceError } from "@millrace/errors";
import { describe, expect, test } from "vitest";
import { andersonDarling } from "./anderson-darling.ts";
import { chiSquareSurvival } from "./chi-square.ts";
import { cramerVonMises } from "./cramer-von-mises.ts";
import { defaultDriftTest, driftTest, type Sample } from "./drift-test.ts";
import { energyDistance } from "./energy-distance.ts";
import { jensenShannon } from "./jensen-shannon.ts";
import { kolmogorovSurvival } from "./kolmogorov-distribution.ts";
import { kolmogorovSmirnov } from "./kolmogorov-smirnov.ts";
import { wasserstein } from "./wasserstein.ts";

type Recipe =
  | number[]
  | { rows: number; seed: number; square?: boolean; shift?: number; scale?: number; step?: number };
interface Figures {
  readonly statistic: number;
  readonly pValue: number;
}
type Verdicts = Record<string, { score: number; drift: boolean } | null>;
interface Fixtures {
  readonly kolmogorov: [number, number, number][];
  readonly chiSquare: [number, number, number][];
  readonly jensenShannon: [number[], number[], number][];
  readonly numbers: {
    readonly name: string;
    readonly reference: Recipe;
    readonly current: Recipe;
    readonly ks: { readonly statistic: number; readonly pValue: number };
    readonly wasserstein: number;
    readonly energy: number;
    readonly cramerVonMises: Figures | null;
    readonly anderson: Figures | null;
    readonly default: string;
    readonly evidently: Verdicts;
  }[];
  readonly categories: {
    readonly name: string;
    readonly reference: Record<string, number>;
    readonly current: Record<string, number>;
    readonly default: string;
    readonly evidently: Verdicts;
    readonly totalVariation: number;
  }[];
}
const fixtures: Fixtures = JSON.parse(readFileSync(new URL("../../fixtures/exact.json", import.meta.url), "utf8"));

/** The generator of the fixture script, operation by operation. */
const sampleOf = (recipe: Recipe): Float64Array => {
  if (Array.isArray(recipe)) return Float64Array.from(recipe).sort();
  return Float64Array.from({ length: recipe.rows }, (_, i) => {
    let u = Number((BigInt(i) * 2654435761n + BigInt(recipe.seed)) % 2n ** 32n) / 2 ** 32;
    if (recipe.square === true) u *= u;
    const value = (recipe.shift ?? 0) + (recipe.scale ?? 1) * u;
    return recipe.step === undefined ? value : Math.floor(value / recipe.step) * recipe.step;
  }).sort();
};

/** The bar: 1e-9 relative, or 1e-12 absolute. */
const expectEqual = (value: number, expected: number) => {
  const difference = Math.abs(value - expected);
  const fits = difference <= 1e-12 || difference <= 1e-9 * Math.abs(expected);
  expect(fits, `${value} is ${difference} from ${expected}`).toBe(true);
};

/** Distances that are roots lose half of their digits near 0, on both sides. */
const expectNear = (test: string, value: number, expected: number) => {
  if (test === "hellinger" && expected < 1e-3) expect(value).toBeCloseTo(expected, 11);
  else if (["jensenshannon", "hellinger", "energy"].includes(test) && expected < 1e-7) expect(value).toBeLessThan(1e-7);
  else expectEqual(value, expected);
};

test.each(fixtures.kolmogorov)("the tail of Kolmogorov's D at %f for %i values equals SciPy's", (d, n, expected) => {
  expectEqual(kolmogorovSurvival(d, n), expected);
});

test.each(fixtures.chiSquare)("the tail of chi-square at %f with %i degrees equals SciPy's", (x, k, expected) => {
  expectEqual(chiSquareSurvival(x, k), expected);
});

test.each(fixtures.jensenShannon)("the Jensen–Shannon distance of %j and %j equals SciPy's", (p, q, expected) => {
  expectEqual(jensenShannon(p, q), expected);
});

describe.each(fixtures.numbers)("numbers: $name", (fixture) => {
  const reference = sampleOf(fixture.reference);
  const current = sampleOf(fixture.current);
  const samples: [Sample, Sample] = [
    { kind: "numbers", sorted: reference, integers: false },
    { kind: "numbers", sorted: current, integers: false },
  ];
  test("the Kolmogorov–Smirnov test equals SciPy's", () => {
    const { statistic, pValue } = kolmogorovSmirnov(reference, current);
    expectEqual(statistic, fixture.ks.statistic);
    expectEqual(pValue, fixture.ks.pValue);
  });
  test("the Wasserstein distance equals SciPy's", () => {
    expectEqual(wasserstein(reference, current), fixture.wasserstein);
  });
  test("the energy distance equals SciPy's", () => {
    expectNear("energy", energyDistance(reference, current), fixture.energy);
  });
  test.each([
    ["Cramér–von Mises", cramerVonMises, fixture.cramerVonMises],
    ["Anderson–Darling", andersonDarling, fixture.anderson],
  ] as const)("the %s test equals SciPy's, and says why where there is none", (_name, of, expected) => {
    if (expected === null) {
      expect(() => of(reference, current)).toThrow(MillraceError);
      return;
    }
    const { statistic, pValue } = of(reference, current);
    expectEqual(statistic, expected.statistic);
    expectEqual(pValue, expected.pValue);
  });
  test("the default test is Evidently's", () => {
    expect(defaultDriftTest(...samples).name).toBe(fixture.default);
  });
  // Evidently's name of the energy distance.
  const scored = Object.entries(fixture.evidently).map(
    ([name, verdict]) => [name === "ed" ? "energy" : name, verdict] as const,
  );
  test.each(scored)("%s has Evidently's score and verdict", (name, expected) => {
    if (expected === null) {
      // Too few rows, or one value alone.
      expect(["cramer_von_mises", "anderson"]).toContain(name);
      // It fails where its type is too narrow for few rows; SciPy's figure is checked above.
      if (name === "cramer_von_mises" && fixture.cramerVonMises !== null) return;
      expect(() => driftTest(name).score(...samples)).toThrow(MillraceError);
      return;
    }
    const score = driftTest(name).score(...samples);
    // Its exact Cramér–von Mises counts in too narrow a type.
    if (name === "cramer_von_mises" && Math.max(reference.length, current.length) <= 20) {
      expect(score.pValue).toBeCloseTo(expected.score, 6);
      return;
    }
    // NumPy rounds a mean near 1e15 to eighths, which shows in its standard deviation; ours keeps those digits.
    if (fixture.name === "1e15 with noise 1e3" && name === "wasserstein")
      expect(score.value).toBeCloseTo(expected.score, 6);
    else if (fixture.name === "1e15 with noise 1e3" && name === "hellinger")
      // The same of the widths of its bins.
      expect(score.value).toBeCloseTo(expected.score, 4);
    else expectNear(name, score.pValue ?? score.value, expected.score);
    expect(driftTest(name).drifts(score)).toBe(expected.drift);
  });
});

describe.each(fixtures.categories)("categories: $name", (fixture) => {
  const samples: [Sample, Sample] = [
    { kind: "categories", counts: new Map(Object.entries(fixture.reference)) },
    { kind: "categories", counts: new Map(Object.entries(fixture.current)) },
  ];
  test("the default test is Evidently's", () => {
    expect(defaultDriftTest(...samples).name).toBe(fixture.default);
  });
  test("the total variation distance is Evidently's", () => {
    expectEqual(driftTest("total_variation").score(...samples).value, fixture.totalVariation);
  });
  const scored = Object.entries(fixture.evidently).filter(([name]) => name !== "z" || fixture.default === "z");
  test.each(scored)("%s has Evidently's score and verdict", (name, expected) => {
    const score = driftTest(name).score(...samples);
    // SciPy has no p-value without a degree of freedom; ours is 1.
    if (expected === null) expect(score.pValue).toBe(1);
    else {
      expectNear(name, score.pValue ?? score.value, expected.score);
      expect(driftTest(name).drifts(score)).toBe(expected.drift);
    }
  });
});

test("the p-value of the z test keeps its digits where 1 - Phi has none", () => {
  const samples: [Sample, Sample] = [
    {
      kind: "categories",
      counts: new Map([
        ["no", 990],
        ["yes", 10],
      ]),
    },
    {
      kind: "categories",
      counts: new Map([
        ["no", 300],
        ["yes", 700],
      ]),
    },
  ];
  const { pValue } = driftTest("z").score(...samples);
  expect(pValue).toBeGreaterThan(0);
  expect(pValue).toBeLessThan(1e-100);
});
