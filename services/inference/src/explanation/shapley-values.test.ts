import { seededRandom } from "@millrace/stats";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { shapleyByDefinition } from "./shapley-values.reference.ts";
import { type Evaluate, rowsOfWalks, shapleyValues } from "./shapley-values.ts";

const seed = Number(process.env.MILLRACE_SEED ?? Date.now() % 2 ** 31);
console.log(`MILLRACE_SEED=${seed}`);

type Game = (known: ReadonlySet<number>) => number;

/** Shapley values of games, one against each background row, of the same units. */
const valuesOf = async (games: readonly Game[], units: number, permutations: number, ownSeed = 1) => {
  const all = Uint32Array.from({ length: units }, (_, unit) => unit);
  const [first] = games;
  let evaluated = 0;
  const evaluate: Evaluate = async (walks) => {
    const values: number[] = [];
    for (const { background, order, from, to } of walks) {
      for (let known = from; known <= to; known++) {
        values.push(games[background]?.(new Set(order.subarray(0, known))) ?? 0);
      }
    }
    evaluated += values.length;
    return Float64Array.from(values);
  };
  const value = first?.(new Set(all)) ?? 0;
  const backgroundValues = Float64Array.from(games, (game) => game(new Set()));
  const result = await shapleyValues(
    { different: games.map(() => all), units, backgroundValues, value, permutations, random: seededRandom(ownSeed) },
    evaluate,
  );
  return { ...result, value, base: backgroundValues.reduce((sum, one) => sum + one / games.length, 0), evaluated };
};

/** A game of random values by subset, equal where all units are known. */
const randomGame = (random: () => number): Game => {
  const values = new Map<string, number>();
  return (known) => {
    const key = [...known].sort((a, b) => a - b).join();
    let value = values.get(key);
    if (value === undefined) {
      value = random() * 10 - 5;
      values.set(key, value);
    }
    return value;
  };
};

describe("few units", () => {
  test("have the values of the definition, exactly", async () => {
    const random = seededRandom(seed);
    for (let units = 1; units <= 5; units++) {
      const game = randomGame(random);
      const { contributions, standardErrors } = await valuesOf([game], units, 16);
      const expected = shapleyByDefinition(units, game);
      for (let unit = 0; unit < units; unit++) expect(contributions[unit]).toBeCloseTo(expected[unit] ?? 0, 10);
      expect([...standardErrors]).toEqual(new Array(units).fill(0));
    }
  });
});

describe("many units", () => {
  test("have the values of the definition within the standard error of the sampling", async () => {
    const random = seededRandom(seed);
    const units = 8;
    const game = randomGame(random);
    const { contributions, standardErrors } = await valuesOf([game], units, 18, seed);
    const expected = shapleyByDefinition(units, game);
    for (let unit = 0; unit < units; unit++) {
      const error = Math.abs((contributions[unit] ?? 0) - (expected[unit] ?? 0));
      // Student's t of 17 degrees of freedom is above 6.5 in five of a million units.
      expect(error).toBeLessThan(6.5 * (standardErrors[unit] ?? 0));
      expect(standardErrors[unit]).toBeGreaterThan(0);
    }
  });

  test("of an additive game have no sampling error", async () => {
    const weights = Array.from({ length: 40 }, (_, unit) => Math.sin(unit) * 3);
    const game: Game = (known) => [...known].reduce((sum, unit) => sum + (weights[unit] ?? 0), 2);
    const { contributions, standardErrors } = await valuesOf([game, (known) => game(known)], 40, 3);
    for (const [unit, weight] of weights.entries()) {
      expect(contributions[unit]).toBeCloseTo(weight, 10);
      expect(standardErrors[unit]).toBeLessThan(1e-10);
    }
  });

  test("of a game of pairs have no sampling error either: backwards cancels forwards", async () => {
    const game: Game = (known) => {
      let sum = 0;
      for (const a of known) for (const b of known) if (a < b) sum += Math.cos(a * 31 + b);
      return sum;
    };
    const { contributions, standardErrors } = await valuesOf([game], 12, 2);
    for (let unit = 0; unit < 12; unit++) {
      let expected = 0;
      for (let other = 0; other < 12; other++) {
        if (other !== unit) expected += Math.cos(Math.min(unit, other) * 31 + Math.max(unit, other)) / 2;
      }
      expect(contributions[unit]).toBeCloseTo(expected, 10);
      expect(standardErrors[unit]).toBeLessThan(1e-10);
    }
  });

  test("have an error of unknown size where one order is sampled", async () => {
    const { standardErrors } = await valuesOf([randomGame(seededRandom(seed))], 9, 1);
    expect(standardErrors[0]).toBeNaN();
  });
});

describe("whatever the game", () => {
  const games = fc.record({
    units: fc.integer({ min: 1, max: 8 }),
    backgrounds: fc.integer({ min: 1, max: 4 }),
    permutations: fc.integer({ min: 1, max: 6 }),
    own: fc.integer({ min: 1, max: 2 ** 31 }),
  });

  test("base and contributions sum to the value", async () => {
    await fc.assert(
      fc.asyncProperty(games, async ({ units, backgrounds, permutations, own }) => {
        const random = seededRandom(own);
        const value = random();
        const against = Array.from({ length: backgrounds }, (): Game => {
          const game = randomGame(random);
          return (known) => (known.size === units ? value : game(known));
        });
        const { contributions, base } = await valuesOf(against, units, permutations, own);
        expect(contributions.reduce((sum, one) => sum + one, base)).toBeCloseTo(value, 9);
      }),
      { seed, numRuns: 100 },
    );
  });

  test("a unit that changes nothing contributes nothing, and units that are alike contribute alike where it is exact", async () => {
    await fc.assert(
      fc.asyncProperty(games, async ({ permutations, own }) => {
        const game = randomGame(seededRandom(own));
        // Unit 0 changes nothing; 1 and 2 count alike.
        const alike: Game = (known) =>
          game(
            new Set([
              ...(known.has(1) || known.has(2) ? [Number(known.has(1)) + Number(known.has(2))] : []),
              ...[...known].filter((unit) => unit > 2).map((unit) => unit + 10),
            ]),
          );
        const { contributions, standardErrors } = await valuesOf([alike], 5, permutations, own);
        expect(contributions[0]).toBe(0);
        expect(standardErrors[0] || 0).toBe(0);
        const exact = await valuesOf([alike], 5, 4, own);
        expect(exact.contributions[1]).toBeCloseTo(exact.contributions[2] ?? 0, 10);
      }),
      { seed, numRuns: 100 },
    );
  });

  test("no more rows are evaluated than were foretold", async () => {
    for (const [units, permutations] of [
      [1, 16],
      [2, 1],
      [5, 2],
      [8, 16],
      [9, 16],
      [30, 2],
    ] as const) {
      const { evaluated } = await valuesOf([(known) => known.size], units, permutations);
      expect(evaluated).toBe(rowsOfWalks(units, permutations));
    }
  });
});
