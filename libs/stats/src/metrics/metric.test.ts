import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { MetricHasNoValueError } from "../metric-has-no-value-error.ts";
import { binaryMetric, binaryMetricNames, MetricUnknownError, regressionMetric } from "./metric.ts";
import { calibrationErrorEqualMass } from "./probability-metrics.ts";
import { estimatedRows } from "./regression-metrics.ts";
import { scoredRows } from "./scored-rows.ts";

interface Fixtures {
  readonly binary: readonly {
    readonly name: string;
    readonly labels: number[];
    readonly scores: number[];
    readonly weights: number[];
    readonly metrics: Record<string, number>;
    readonly weighted: Record<string, number>;
  }[];
  readonly regression: readonly {
    name: string;
    truth: number[];
    estimates: number[];
    metrics: Record<string, number>;
  }[];
}
const fixtures: Fixtures = JSON.parse(readFileSync(new URL("../../fixtures/metrics.json", import.meta.url), "utf8"));

const relative = (value: number, expected: number) => Math.abs(value - expected) / Math.max(Math.abs(expected), 1e-3);

describe.each(fixtures.binary)("binary metrics of $name", ({ labels, scores, weights, metrics, weighted }) => {
  const rows = scoredRows(labels, scores);
  test.each(Object.entries(metrics))("%s equals scikit-learn's", (name, expected) => {
    expect(relative(binaryMetric(name, rows), expected)).toBeLessThan(1e-12);
  });
  test.each(Object.entries(weighted))("%s of weighted rows equals scikit-learn's", (name, expected) => {
    expect(relative(binaryMetric(name, rows, weights), expected)).toBeLessThan(1e-12);
  });
});

describe.each(fixtures.regression)("regression metrics of $name", ({ truth, estimates, metrics }) => {
  test.each(Object.entries(metrics))("%s equals scikit-learn's", (name, expected) => {
    expect(relative(regressionMetric(name, estimatedRows(truth, estimates)), expected)).toBeLessThan(1e-12);
  });
});

describe("a metric without a value", () => {
  test.each([
    ["ROC_AUC", [1, 1], [0.2, 0.9], "one class"],
    ["PR_AUC", [0, 0], [0.2, 0.9], "no positives"],
    ["PRECISION", [1, 0], [0.2, 0.3], "no predicted positives"],
    ["RECALL", [0, 0], [0.2, 0.3], "no positives"],
    ["F1", [0, 0], [0.2, 0.3], "no positives"],
  ])("%s says why", (name, labels, scores, noValue) => {
    expect(() => binaryMetric(name, scoredRows(labels, scores))).toThrow(expect.objectContaining({ noValue }));
  });
  test.each(binaryMetricNames)("%s of rows without weight says so", (name) => {
    expect(() => binaryMetric(name, scoredRows([0, 1], [0.1, 0.2]), [0, 0])).toThrow(MetricHasNoValueError);
  });
  test("rows are refused when empty, not binary or not finite", () => {
    expect(() => scoredRows([], [])).toThrow(expect.objectContaining({ noValue: "no data" }));
    expect(() => scoredRows([2], [0.1])).toThrow(expect.objectContaining({ noValue: "not a binary label" }));
    expect(() => scoredRows([1], [Number.NaN])).toThrow(expect.objectContaining({ noValue: "not finite" }));
  });
  test("R2 of a constant truth says so", () => {
    expect(() => regressionMetric("R2", estimatedRows([3, 3], [1, 2]))).toThrow(
      expect.objectContaining({ noValue: "constant truth" }),
    );
  });
  test("an unknown name is refused with the known ones", () => {
    expect(() => binaryMetric("AUC", scoredRows([0, 1], [0, 1]))).toThrow(MetricUnknownError);
    expect(() => regressionMetric("PINBALL_0", estimatedRows([1], [1]))).toThrow(MetricUnknownError);
  });
});

describe("the calibration error of equal mass", () => {
  test("does not depend on the order of tied rows", () => {
    const labels = [1, 0, 0, 1, 0, 0, 0, 1, 1, 0, 1, 0];
    const scores = labels.map((_, row) => (row % 3) / 3);
    const reversed = scoredRows(labels.toReversed(), scores.toReversed());
    expect(calibrationErrorEqualMass(scoredRows(labels, scores))).toBe(calibrationErrorEqualMass(reversed));
  });
});
