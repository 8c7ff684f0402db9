import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Servable } from "./servable.ts";
import { chooseVersion, highestVersion, type RoutingKeys, shareOf, type TrafficRules } from "./traffic-rules.ts";

const seed = Number(process.env.MILLRACE_SEED ?? Date.now() % 2 ** 31);
const seeded = { seed, numRuns: 20 };

/** Numbers in [0, 1) that follow from a seed (mulberry32). */
const randomFrom = (start: number): (() => number) => {
  let state = start | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
};

const served = (version: string, alive = true): Servable => ({ name: "m", version, alive }) as Servable;
const ready = (count: number): Servable[] => Array.from({ length: count }, (_, index) => served(String(index + 1)));
const rules = (weights: readonly number[], more: Partial<TrafficRules> = {}): TrafficRules => ({
  ...highestVersion,
  weights: new Map(weights.map((weight, index) => [String(index + 1), weight])),
  ...more,
});
const sticky: Partial<TrafficRules> = { sticky: { from: "header", name: "x-user" } };
const headers = (given: Readonly<Record<string, string>>): RoutingKeys => ({ header: (name) => given[name] });
const versionOf = (key: string, of: TrafficRules, versions = ready(of.weights.size)): number =>
  Number(chooseVersion(versions, of, headers({ "x-user": key }))?.version);

const anyWeights = fc
  .array(fc.integer({ min: 0, max: 100 }), { minLength: 1, maxLength: 6 })
  .filter((weights) => weights.some((weight) => weight > 0));
const sum = (numbers: readonly number[]): number => numbers.reduce((total, number) => total + number, 0);

/**
 * How far a count out of `trials` may be from its share: Bernstein's bound, which one in a thousand million exceeds,
 * whatever the share.
 */
const chance = (trials: number, share: number): number => {
  const rarity = Math.log(2e9);
  return rarity / 3 + Math.sqrt(rarity ** 2 / 9 + 2 * trials * share * (1 - share) * rarity);
};
const isWithinChance = (count: number, trials: number, share: number): boolean =>
  Math.abs(count - trials * share) <= chance(trials, share);

describe(`a split by weight (MILLRACE_SEED=${seed})`, () => {
  const trials = 5000;

  test.each([
    ["by chance", {}],
    ["by sticky key", sticky],
  ])("gives each version its share of the calls, %s", (how, more) => {
    fc.assert(
      fc.property(anyWeights, fc.integer(), (weights, start) => {
        const random = randomFrom(start);
        const counts = weights.map(() => 0);
        const versions = ready(weights.length);
        for (let call = 0; call < trials; call++) {
          const keys = headers(how === "by sticky key" ? { "x-user": `${start} ${call}` } : {});
          const chosen = Number(chooseVersion(versions, rules(weights, more), keys, random)?.version) - 1;
          counts[chosen] = (counts[chosen] ?? 0) + 1;
        }
        for (const [index, weight] of weights.entries()) {
          const share = weight / sum(weights);
          expect(isWithinChance(counts[index] ?? 0, trials, share), `${counts} for ${weights}`).toBe(true);
          expect(
            shareOf(
              String(index + 1),
              versions.map(({ version }) => version),
              rules(weights),
            ),
          ).toBeCloseTo(share);
        }
      }),
      { seed, numRuns: 20 },
    );
  });

  test("is of the calls without the sticky key as well", () => {
    const random = randomFrom(seed);
    let first = 0;
    for (let call = 0; call < trials; call++) {
      if (chooseVersion(ready(2), rules([90, 10], sticky), headers({}), random)?.version === "1") first++;
    }
    expect(isWithinChance(first, trials, 0.9)).toBe(true);
  });
});

describe(`a sticky key (MILLRACE_SEED=${seed})`, () => {
  const keys = Array.from({ length: 1500 }, (_, index) => `${seed} ${index}`);

  test("has the same version in every process, on every machine", () => {
    const of = rules([50, 30, 20], sticky);
    expect(
      ["ann", "ben", "cem", "dee", "eva", "fay", "", "日本"].map((key) => versionOf(key, of)),
    ).toMatchInlineSnapshot(`
      [
        1,
        3,
        2,
        2,
        1,
        2,
        1,
        3,
      ]
    `);
  });

  test("is looked for in the header, the parameter or the entity that the rules name", () => {
    for (const from of ["header", "parameter", "entity"] as const) {
      const of = rules([50, 50], { sticky: { from, name: "user" } });
      const call = (key: string): RoutingKeys => ({
        header: () => undefined,
        [from]: (name: string) => (name === "user" ? key : undefined),
      });
      for (const key of keys.slice(0, 100)) {
        expect(chooseVersion(ready(2), of, call(key))?.version).toBe(String(versionOf(key, rules([50, 50], sticky))));
      }
    }
  });

  test("goes from one version to another only where the other's weight has risen against its own", () => {
    fc.assert(
      fc.property(anyWeights, anyWeights, (before, after) => {
        const length = Math.min(before.length, after.length);
        const [old, now] = [before.slice(0, length), after.slice(0, length)];
        if (sum(old) === 0 || sum(now) === 0) return;
        for (const key of keys.slice(0, 300)) {
          const from = versionOf(key, rules(old, sticky)) - 1;
          const to = versionOf(key, rules(now, sticky)) - 1;
          if (from === to) continue;
          expect((now[to] ?? 0) * (old[from] ?? 0)).toBeGreaterThan((old[to] ?? 0) * (now[from] ?? 0));
        }
      }),
      seeded,
    );
  });

  test("moves with the share that a canary gains, and no other does", () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 100 }), { minLength: 1, maxLength: 4 }),
        fc.integer({ min: 0, max: 100 }),
        fc.integer({ min: 0, max: 100 }),
        (others, one, other) => {
          const [less, more] = [Math.min(one, other), Math.max(one, other)];
          const share = (canary: number) => canary / (canary + sum(others));
          let moved = 0;
          for (const key of keys) {
            const from = versionOf(key, rules([...others, less], sticky));
            const to = versionOf(key, rules([...others, more], sticky));
            if (from === to) continue;
            expect(to).toBe(others.length + 1);
            moved++;
          }
          expect(isWithinChance(moved, keys.length, share(more) - share(less))).toBe(true);
        },
      ),
      { seed, numRuns: 20 },
    );
  });

  test("moves no more than the bound, whatever the weights become", () => {
    fc.assert(
      fc.property(anyWeights, anyWeights, (before, after) => {
        const length = Math.min(before.length, after.length);
        const [old, now] = [before.slice(0, length), after.slice(0, length)];
        if (sum(old) === 0 || sum(now) === 0) return;
        const distance =
          sum(old.map((weight, index) => Math.abs(weight / sum(old) - (now[index] ?? 0) / sum(now)))) / 2;
        const bound = (2 * distance) / (1 + distance);
        const moved = keys.filter((key) => versionOf(key, rules(old, sticky)) !== versionOf(key, rules(now, sticky)));
        expect(moved.length).toBeLessThanOrEqual(keys.length * bound + chance(keys.length, bound));
      }),
      seeded,
    );
  });

  test("of a version that cannot run goes to another, and the others stay", () => {
    const of = rules([40, 30, 30], sticky);
    const lost = [served("1"), served("2", false), served("3")];
    for (const key of keys) {
      const before = versionOf(key, of);
      const after = versionOf(key, of, lost);
      expect(after).not.toBe(2);
      if (before !== 2) expect(after).toBe(before);
    }
  });
});

describe("the version of a call", () => {
  test("is the one whose header it has, with or without a value, and the first of two", () => {
    const of = rules([100, 0, 0], {
      headers: [
        { name: "x-canary", value: "yes", version: "2" },
        { name: "x-next", value: undefined, version: "3" },
      ],
    });
    const asked = (given: Readonly<Record<string, string>>) => chooseVersion(ready(3), of, headers(given))?.version;
    expect(asked({})).toBe("1");
    expect(asked({ "x-canary": "no" })).toBe("1");
    expect(asked({ "x-canary": "yes" })).toBe("2");
    expect(asked({ "x-next": "" })).toBe("3");
    expect(asked({ "x-canary": "yes", "x-next": "1" })).toBe("2");
    expect(chooseVersion([served("1"), served("2", false)], of, headers({ "x-canary": "yes" }))?.version).toBe("1");
  });

  test("is never a shadow, nor one without weight, even where no other is ready", () => {
    expect(chooseVersion(ready(2), { ...highestVersion, shadows: ["2"] }, headers({}))?.version).toBe("1");
    const of = rules([100, 0], { shadows: ["3"] });
    for (const version of ["2", "3"]) {
      expect(chooseVersion([served(version)], of, headers({}))).toBeUndefined();
      expect(chooseVersion([served(version)], of, undefined)).toBeUndefined();
    }
  });

  test("is the one with most of the traffic where there is no call to tell apart", () => {
    expect(chooseVersion(ready(3), rules([20, 70, 10]), undefined)?.version).toBe("2");
    expect(chooseVersion([served("1"), served("2", false)], rules([20, 80]), undefined)?.version).toBe("1");
  });

  test("is the lone one also while it cannot run, so that the caller is told of it", () => {
    expect(chooseVersion([served("1", false)], rules([100]), headers({}))?.version).toBe("1");
    expect(chooseVersion([served("1", false)], highestVersion, headers({}))?.version).toBe("1");
  });
});
