import { Meaning } from "@millrace/contracts/millrace/model/v1/model_package";
import { describe, expect, test } from "vitest";
import { EmptySampleError } from "../empty-sample-error.ts";
import { buildBaseline } from "./build-baseline.ts";
import { mergeProfiles } from "./profile-builder.ts";

const DAY_US = 86_400_000_000n;

describe("a baseline", () => {
  const rows = 300;
  const values = Array.from({ length: rows }, (_, row) => (row % 7 === 0 ? Number.NaN : row / 10));
  const baseline = buildBaseline({
    columns: [
      { name: "x", meaning: Meaning.NUMERIC, values, nulls: values.map((x) => (Number.isNaN(x) ? 1 : 0)) },
      { name: "origin", meaning: Meaning.CATEGORICAL, values: values.map((_, row) => (row % 2 === 0 ? "ATL" : null)) },
      { name: "vector", meaning: Meaning.EMBEDDING, values },
    ],
    eventTimesUs: BigInt64Array.from({ length: rows }, (_, row) => BigInt(row % 3) * DAY_US - 1n),
    performance: { scores: values.map(() => 0.25), labels: values.map((_, row) => row % 2) },
  });

  test("has a profile a day, in order, which together are all rows", () => {
    expect(baseline.days.map(({ day }) => day)).toEqual([-1, 0, 1]);
    const whole = mergeProfiles(
      baseline.columns,
      baseline.days.flatMap(({ profile }) => (profile === undefined ? [] : [profile])),
    );
    expect(whole.rows).toBe(300n);
    expect(whole.columns[0]).toMatchObject({ name: "x", count: 257n, nulls: 43n, nans: 0n });
    expect(whole.columns[1]).toMatchObject({ name: "origin", count: 150n, nulls: 150n, bins: [150n, 0n] });
    expect(whole.performance).toMatchObject({ labelled: 300n });
  });

  test("leaves embeddings out, and puts about as many rows into each bin", () => {
    expect(baseline.columns.map(({ name }) => name)).toEqual(["x", "origin"]);
    expect(baseline.columns[0]?.edges.length).toBeGreaterThan(90);
  });

  test("of no rows is refused", () => {
    expect(() => buildBaseline({ columns: [], eventTimesUs: new BigInt64Array(0) })).toThrow(EmptySampleError);
  });
});
