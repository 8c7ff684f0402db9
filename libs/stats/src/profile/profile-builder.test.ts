import { toBinary } from "@bufbuild/protobuf";
import { Meaning, ProfileSchema } from "@millrace/contracts/millrace/model/v1/model_package";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { ColumnData } from "./column-data.ts";
import { fitColumnLayout } from "./fit-column-layout.ts";
import { mergeProfiles, ProfileBuilder } from "./profile-builder.ts";

const seed = Number(process.env.MILLRACE_SEED ?? Date.now() % 2 ** 31);
console.log(`MILLRACE_SEED=${seed}`);

const numbers = fc.array(
  fc.oneof(
    { arbitrary: fc.double({ min: -1e6, max: 1e6, noNaN: true }), weight: 6 },
    fc.constantFrom(Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0, -0),
    fc.constant(null),
  ),
  { maxLength: 60 },
);
const categories = fc.array(fc.option(fc.constantFrom("a", "b", "c", "d", "__proto__")), { maxLength: 60 });

const numberColumn = (rows: readonly (number | null)[]): ColumnData => ({
  name: "x",
  meaning: Meaning.NUMERIC,
  values: rows.map((value) => value ?? 0),
  nulls: rows.map((value) => (value === null ? 1 : 0)),
});
const categoryColumn = (values: readonly (string | null)[]): ColumnData => ({
  name: "c",
  meaning: Meaning.CATEGORICAL,
  values,
});

describe("merging the profiles of two parts", () => {
  test("gives the profile of both together: counts exactly, moments within rounding", () => {
    fc.assert(
      fc.property(numbers, numbers, categories, categories, fc.integer({ min: 1, max: 8 }), (a, b, c, d, bins) => {
        const layouts = [
          fitColumnLayout(numberColumn([...a, ...b]), { quantileBins: bins }),
          fitColumnLayout(categoryColumn([...c, ...d]), { categories: 2 }),
        ];
        const profileOf = (x: readonly (number | null)[], y: readonly (string | null)[]) => {
          const builder = new ProfileBuilder(layouts, { ranges: new Map([["x", { min: -10, max: 1000 }]]) });
          builder.addRows(x.length);
          builder.addColumn(numberColumn(x));
          builder.addColumn(categoryColumn(y));
          return builder.toProfile();
        };
        const merged = mergeProfiles(layouts, [profileOf(a, c), profileOf(b, d)]);
        const whole = profileOf([...a, ...b], [...c, ...d]);
        const scale = 1e6;
        merged.columns.forEach((column, index) => {
          const expected = whole.columns[index];
          if (expected === undefined) throw new Error("a column is missing");
          expect(Math.abs(column.mean - expected.mean)).toBeLessThan(1e-9 * scale);
          expect(Math.abs(column.m2 - expected.m2)).toBeLessThan(1e-9 * scale * scale);
          column.binSums.forEach((sum, bin) => {
            expect(Math.abs(sum - (expected.binSums[bin] as number))).toBeLessThan(1e-9 * scale);
          });
          const { mean: _, m2: __, binSums: ___, ...exact } = column;
          const { mean: _e, m2: __e, binSums: ___e, ...expectedExact } = expected;
          expect(exact).toEqual(expectedExact);
        });
        expect(merged.rows).toBe(whole.rows);
      }),
      { seed, numRuns: 300 },
    );
  });

  test("with an empty profile changes nothing, to the bit", () => {
    const layouts = [fitColumnLayout(numberColumn([1, 2, 3, 1e15]))];
    const builder = new ProfileBuilder(layouts);
    builder.addRows(3);
    builder.addColumn(numberColumn([1, 0.1, 1e15]));
    const profile = builder.toProfile();
    const empty = new ProfileBuilder(layouts).toProfile();
    for (const merged of [mergeProfiles(layouts, [profile, empty]), mergeProfiles(layouts, [empty, profile])])
      expect(toBinary(ProfileSchema, merged)).toEqual(toBinary(ProfileSchema, profile));
  });

  test("refuses a profile of another layout", () => {
    const layouts = [fitColumnLayout(numberColumn([1, 2, 3]))];
    const other = new ProfileBuilder([fitColumnLayout(numberColumn([1, 2, 3, 4]))]).toProfile();
    expect(() => mergeProfiles(layouts, [other])).toThrow(/another layout/);
  });
});

describe("a profile of numbers", () => {
  test("keeps the variance of large numbers with little spread", () => {
    const rows = Array.from({ length: 1000 }, (_, row) => 1e15 + (row % 2 === 0 ? 1e3 : -1e3));
    const builder = new ProfileBuilder([fitColumnLayout(numberColumn(rows))]);
    builder.addColumn(numberColumn(rows));
    expect(builder.toProfile().columns[0]?.m2).toBeCloseTo(1e9, -3);
  });

  test("counts text as a wrong type and infinities outside of a declared range", () => {
    const builder = new ProfileBuilder([fitColumnLayout(numberColumn([1, 2]))], {
      ranges: new Map([["x", { max: 5 }]]),
    });
    builder.column("x")?.addString("three");
    for (const value of [5, 6, Number.POSITIVE_INFINITY]) builder.column("x")?.addNumber(value);
    expect(builder.toProfile().columns[0]).toMatchObject({ wrongType: 1n, outOfRange: 2n, infinities: 1n, count: 2n });
  });
});
