import { describe, expect, test } from "vitest";
import { barText, type Measured, median, meetsBar, round } from "./record.ts";

const row = (more: Partial<Measured>): Measured => ({ what: "a figure", ours: 80, unit: "ms", runs: [80], ...more });

describe("a bar", () => {
  test("of the ratio is held against what was measured beside it", () => {
    const bar = { of: "ratio", atLeast: 0.8 } as const;
    expect(meetsBar(row({ ceiling: 100, bar }))).toBe(true);
    expect(meetsBar(row({ ceiling: 101, bar }))).toBe(false);
  });

  test("of the ratio is not met where nothing was measured beside it", () => {
    expect(meetsBar(row({ bar: { of: "ratio", atMost: 1.1 } }))).toBe(false);
  });

  test("of the figure itself says its unit", () => {
    expect(barText(row({ bar: { of: "figure", atMost: 90 } }))).toBe("≤ 90 ms, met");
    expect(barText(row({ bar: { of: "figure", atMost: 79 } }))).toBe("≤ 79 ms, **not met**");
  });

  test("that a figure does not have is neither met nor missed", () => {
    expect(meetsBar(row({}))).toBeUndefined();
    expect(barText(row({}))).toBe("");
  });
});

test("the median of an even number of runs is the higher of the middle two", () => {
  expect(median([3, 1, 2, 10])).toBe(3);
});

test("figures have three digits, and from 100 on no fraction", () => {
  expect([0.123456, 12.3456, 123.456, 12_345.6].map(round)).toEqual(["0.123", "12.3", "123", "12,346"]);
});
