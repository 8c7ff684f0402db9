import { describe, expect, test } from "vitest";
import { pointOfTexts } from "./point-of-texts.ts";

const count = 64_000;
/** Pearson's statistic of counts that are expected to be alike. */
const chiSquare = (counts: readonly number[]): number => {
  const expected = count / counts.length;
  return counts.reduce((sum, seen) => sum + (seen - expected) ** 2 / expected, 0);
};
/** The mean and eight standard deviations of the statistic: what chance does not give. */
const unlikely = (cells: number): number => cells - 1 + 8 * Math.sqrt(2 * (cells - 1));

const forms: readonly (readonly [string, (index: number) => string])[] = [
  ["numbers", (index) => String(index)],
  ["names with a number", (index) => `user ${index}`],
  ["letters", (index) => index.toString(36).padStart(6, "a")],
  ["identifiers", (index) => `0f8fad5b-d9cb-469f-a165-${index.toString(16).padStart(12, "0")}`],
  [
    "texts of other scripts",
    (index) => String.fromCodePoint(0x4e00 + (index % 20_000), 0x4e00 + Math.floor(index / 20_000)),
  ],
];

describe("points of texts", () => {
  test.each(forms)("of %s are evenly spread, and for two versions without relation", (_, key) => {
    const cells = Array.from({ length: 64 }, () => 0);
    const pairs = Array.from({ length: 256 }, () => 0);
    for (let index = 0; index < count; index++) {
      const one = pointOfTexts("model", "1", key(index));
      const two = pointOfTexts("model", "2", key(index));
      expect(one > 0 && one <= 1).toBe(true);
      const cell = Math.ceil(one * 64) - 1;
      cells[cell] = (cells[cell] ?? 0) + 1;
      const pair = (Math.ceil(one * 16) - 1) * 16 + Math.ceil(two * 16) - 1;
      pairs[pair] = (pairs[pair] ?? 0) + 1;
    }
    expect(chiSquare(cells)).toBeLessThan(unlikely(64));
    expect(chiSquare(pairs)).toBeLessThan(unlikely(256));
  });

  test("are of the texts, not of what they are together", () => {
    expect(pointOfTexts("a", "bc")).not.toBe(pointOfTexts("ab", "c"));
    expect(pointOfTexts("a")).not.toBe(pointOfTexts("a", ""));
  });

  test("of different keys differ", () => {
    const points = new Set(Array.from({ length: count }, (_, index) => pointOfTexts("model", "1", `user ${index}`)));
    expect(points.size).toBe(count);
  });
});
