import { Meaning } from "@millrace/contracts/millrace/model/v1/model_package";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { normedWasserstein, standardDeviation, wasserstein } from "../exact/wasserstein.ts";
import type { ColumnData } from "../profile/column-data.ts";
import { fitColumnLayout } from "../profile/fit-column-layout.ts";
import { ProfileBuilder } from "../profile/profile-builder.ts";
import {
  jensenShannonMeasure,
  nullShareMeasure,
  outOfRangeShareMeasure,
  populationStabilityIndexMeasure,
  statusShareMeasure,
  unseenShareMeasure,
  wassersteinMeasure,
} from "./column-measures.ts";
import { streamedWasserstein } from "./streamed-wasserstein.ts";

const seed = Number(process.env.MILLRACE_SEED ?? Date.now() % 2 ** 31);
console.log(`MILLRACE_SEED=${seed}`);

const numberColumn = (values: readonly number[]): ColumnData => ({ name: "x", meaning: Meaning.NUMERIC, values });

const profiled = (baseline: ColumnData, ...columns: ColumnData[]) => {
  const layout = fitColumnLayout(baseline, { quantileBins: 8 });
  const profiles = [baseline, ...columns].map((column) => {
    const builder = new ProfileBuilder([layout], { ranges: new Map([["x", { min: 0, max: 10 }]]) });
    builder.addColumn(column);
    const profile = builder.toProfile().columns[0];
    if (profile === undefined) throw new Error("no column");
    return profile;
  });
  return { layout, profiles };
};

const values = fc.array(fc.oneof(fc.double({ min: -50, max: 50, noNaN: true }), fc.integer({ min: -3, max: 3 })), {
  minLength: 1,
  maxLength: 80,
});

describe("the streamed Wasserstein distance", () => {
  test("lies below the exact one of the clipped values by no more than its bound", () => {
    fc.assert(
      fc.property(values, values, (reference, current) => {
        const { layout, profiles } = profiled(numberColumn(reference), numberColumn(current));
        const [a, b] = profiles;
        if (a === undefined || b === undefined) throw new Error("no profile");
        const clipped = (list: readonly number[]) =>
          Float64Array.from(list, (x) => Math.min(Math.max(x, layout.clipLow), layout.clipHigh)).sort();
        const exact = wasserstein(clipped(reference), clipped(current));
        const streamed = streamedWasserstein(layout, a, b);
        if (streamed === undefined) throw new Error("no value");
        expect(streamed.value).toBeLessThanOrEqual(exact + 1e-9);
        expect(exact).toBeLessThanOrEqual(streamed.value + streamed.errorBound + 1e-9);
      }),
      { seed, numRuns: 2000 },
    );
  });

  test("of a shift is near the exact one, with a small bound, on the default layout", () => {
    const reference = Array.from({ length: 5000 }, (_, i) => Math.sin(i) * 3 + (i % 17));
    const current = reference.map((x) => x + 1);
    const layout = fitColumnLayout(numberColumn(reference));
    const [a, b] = [reference, current].map((list) => {
      const builder = new ProfileBuilder([layout]);
      builder.addColumn(numberColumn(list));
      return builder.toProfile().columns[0];
    });
    if (a === undefined || b === undefined) throw new Error("no profile");
    const exact = normedWasserstein(Float64Array.from(reference).sort(), Float64Array.from(current).sort());
    const streamed = wassersteinMeasure(layout, a, b);
    if (!("value" in streamed)) throw new Error(streamed.noValue);
    expect(Math.abs(streamed.value - exact)).toBeLessThan(0.02);
    expect(streamed.errorBound).toBeLessThan(0.01);
    expect(Math.sqrt(a.m2 / 5000)).toBeCloseTo(standardDeviation(Float64Array.from(reference)), 10);
  });

  test("has no value where a side is empty or the baseline is constant", () => {
    const { layout, profiles } = profiled(numberColumn([1, 1, 1]), numberColumn([]), numberColumn([2]));
    const [constant, empty, other] = profiles;
    if (constant === undefined || empty === undefined || other === undefined) throw new Error("no profile");
    expect(wassersteinMeasure(layout, constant, empty)).toEqual({ noValue: "no data" });
    expect(wassersteinMeasure(layout, empty, constant)).toEqual({ noValue: "no data in baseline" });
    expect(wassersteinMeasure(layout, constant, other)).toEqual({ noValue: "constant baseline" });
    expect(jensenShannonMeasure(layout, constant, other)).toEqual({ value: expect.closeTo(Math.sqrt(Math.LN2), 12) });
  });
});

describe("the streamed measures of bins", () => {
  test("are 0 for equal profiles and grow with the difference", () => {
    const reference = Array.from({ length: 1000 }, (_, i) => i);
    const { layout, profiles } = profiled(
      numberColumn(reference),
      numberColumn(reference),
      numberColumn(reference.map((x) => x / 2)),
    );
    const [a, equal, half] = profiles;
    if (a === undefined || equal === undefined || half === undefined) throw new Error("no profile");
    for (const measure of [jensenShannonMeasure, populationStabilityIndexMeasure]) {
      expect(measure(layout, a, equal)).toEqual({ value: expect.closeTo(0, 6) });
      expect(measure(layout, a, half)).toEqual({ value: expect.any(Number) });
    }
  });

  test("count what is unseen, null, out of range and not found", () => {
    const categories = fitColumnLayout({ name: "c", meaning: Meaning.CATEGORICAL, values: ["a", "b"] });
    const builder = new ProfileBuilder([categories]);
    const column = builder.columns[0];
    for (const value of ["a", "b", "zz"]) column?.addString(value);
    column?.addNull();
    for (const status of [1, 1, 3, 5]) column?.addStatus(status);
    const profile = builder.toProfile().columns[0];
    if (profile === undefined) throw new Error("no column");
    expect(unseenShareMeasure(categories, profile)).toEqual({ value: 1 / 3 });
    expect(profile.unseen).toEqual({ zz: 1n });
    expect(nullShareMeasure(profile)).toEqual({ value: 0.25 });
    expect(statusShareMeasure(profile, 3)).toEqual({ value: 0.25 });
    expect(statusShareMeasure(profile, 5)).toEqual({ value: 0.25 });
    // A profile of a time when there were fewer statuses.
    builder.columns[0]?.merge({ ...profile, statuses: [0n, 2n, 0n, 1n] });
    expect(builder.toProfile().columns[0]?.statuses).toEqual([0n, 4n, 0n, 2n, 0n, 1n]);
    const { profiles } = profiled(numberColumn([1, 5, 11, -1]));
    if (profiles[0] === undefined) throw new Error("no column");
    expect(outOfRangeShareMeasure(profiles[0])).toEqual({ value: 0.5 });
  });
});
