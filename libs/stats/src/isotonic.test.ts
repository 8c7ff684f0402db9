import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { calibrator, fitIsotonic } from "./isotonic.ts";

interface Case {
  readonly name: string;
  readonly scores: number[];
  readonly labels: number[];
  readonly asked: number[];
  readonly answers: number[];
}
const fixtures: { isotonic: Case[] } = JSON.parse(
  readFileSync(new URL("../fixtures/metrics.json", import.meta.url), "utf8"),
);

describe.each(fixtures.isotonic)("isotonic calibration of $name", ({ scores, labels, asked, answers }) => {
  test("equals scikit-learn's at every asked score", () => {
    const calibrate = calibrator(fitIsotonic(scores, labels));
    asked.forEach((score, row) => {
      expect(calibrate(score)).toBeCloseTo(answers[row] as number, 12);
    });
  });
});

describe("isotonic calibration", () => {
  test("of no rows says so", () => {
    expect(() => fitIsotonic([], [])).toThrow(expect.objectContaining({ noValue: "no data" }));
  });
  test("is the identity where a package has no map", () => {
    expect([-1, 0.25, 2].map(calibrator(undefined))).toEqual([0, 0.25, 1]);
  });
});
