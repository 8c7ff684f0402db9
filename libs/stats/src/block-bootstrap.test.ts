import { describe, expect, test } from "vitest";
import { blockBootstrap } from "./block-bootstrap.ts";
import { rocAuc } from "./metrics/rank-metrics.ts";
import { scoredRows } from "./metrics/scored-rows.ts";
import { seededRandom } from "./seeded-random.ts";

const days = Array.from({ length: 400 }, (_, row) => Math.floor(row / 20));
const weightedMean = (values: readonly number[]) => (weights: Float64Array) =>
  values.reduce((sum, value, row) => sum + value * (weights[row] as number), 0) / weights.reduce((a, b) => a + b, 0);

describe("the block bootstrap", () => {
  test("gives the same interval for the same seed, and draws whole days", () => {
    const seen: Float64Array[] = [];
    const statistic = (weights: Float64Array) => {
      seen.push(weights.slice());
      return weightedMean(days)(weights);
    };
    expect(blockBootstrap(days, statistic, { seed: 3 })).toEqual(blockBootstrap(days, weightedMean(days), { seed: 3 }));
    for (const weights of seen)
      for (let row = 0; row < 400; row++) expect(weights[row]).toBe(weights[row - (row % 20)]);
  });

  test("is wider than drawing rows where the rows of a day are alike", () => {
    const random = seededRandom(5);
    const ofDay = Array.from({ length: 20 }, () => random());
    const values = days.map((day) => ofDay[day] as number);
    const width = (blocks: readonly number[]) => {
      const interval = blockBootstrap(blocks, weightedMean(values));
      return interval === undefined ? 0 : interval.upper - interval.lower;
    };
    expect(width(days)).toBeGreaterThan(3 * width(values.map((_, row) => row)));
  });

  test("has no interval for one block, and leaves out resamples without a value", () => {
    expect(blockBootstrap([1, 1, 1], () => 1)).toBeUndefined();
    const rows = scoredRows([1, 0], [0.8, 0.3]);
    const interval = blockBootstrap([0, 1], (weights) => rocAuc(rows, weights), { resamples: 100 });
    expect(interval).toMatchObject({ lower: 1, upper: 1 });
    expect(interval?.resamples).toBeLessThan(100);
  });
});
