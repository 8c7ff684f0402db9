import { describe, expect, test } from "vitest";
import { logLoss } from "../metrics/probability-metrics.ts";
import { rocAuc } from "../metrics/rank-metrics.ts";
import { scoredRows } from "../metrics/scored-rows.ts";
import { PerformanceProfiler } from "../profile/performance-profiler.ts";
import { seededRandom } from "../seeded-random.ts";
import {
  estimatedLogLoss,
  estimatedRocAuc,
  type PerformanceMeasure,
  realizedCalibrationError,
  realizedLogLoss,
  realizedRocAuc,
} from "./performance-measures.ts";

const measured = (measure: PerformanceMeasure) => {
  if (!("value" in measure)) throw new Error(measure.noValue);
  return measure;
};

/** Rows whose label is drawn with the chance that the score says. */
const calibratedRows = (rows: number) => {
  const random = seededRandom(11);
  const scores = Array.from({ length: rows }, () => random() ** 2 * 0.9);
  return { scores, labels: scores.map((score): number => (random() < score ? 1 : 0)) };
};

describe("quality measured on score bins", () => {
  const { scores, labels } = calibratedRows(4000);
  const profiler = new PerformanceProfiler();
  scores.forEach((score, row) => {
    profiler.addScore(score);
    profiler.addLabel(score, labels[row] as number);
  });
  const performance = profiler.toPerformance();
  const rows = scoredRows(labels, scores);

  test("is the exact ROC AUC within its bound", () => {
    const { value, errorBound } = measured(realizedRocAuc(performance));
    expect(errorBound).toBeLessThan(0.005);
    expect(Math.abs(value - rocAuc(rows))).toBeLessThanOrEqual(errorBound ?? 0);
  });

  test("is the exact log loss", () => {
    expect(measured(realizedLogLoss(performance)).value).toBeCloseTo(logLoss(rows), 8);
  });

  test("is estimated without labels within four sampling errors, where the scores are calibrated", () => {
    const auc = measured(estimatedRocAuc(performance));
    expect(Math.abs(auc.value - rocAuc(rows))).toBeLessThan(4 * (auc.standardError ?? 0));
    const loss = measured(estimatedLogLoss(performance));
    expect(Math.abs(loss.value - logLoss(rows))).toBeLessThan(4 * (loss.standardError ?? 0));
    expect(measured(realizedCalibrationError(performance)).value).toBeLessThan(0.04);
  });

  test("does not depend on the order in which labels come, to the bit", () => {
    const other = new PerformanceProfiler();
    for (let row = scores.length - 1; row >= 0; row--) other.addLabel(scores[row] as number, labels[row] as number);
    for (const score of scores) other.addScore(score);
    expect(other.toPerformance()).toEqual(performance);
  });
});

describe("quality that has no value", () => {
  test("says why", () => {
    const profiler = new PerformanceProfiler();
    expect(realizedRocAuc(profiler.toPerformance())).toEqual({ noValue: "no labels", rows: 0 });
    expect(estimatedLogLoss(profiler.toPerformance())).toEqual({ noValue: "no data", rows: 0 });
    profiler.addScore(0.5);
    profiler.addLabel(0.5, 1);
    expect(realizedRocAuc(profiler.toPerformance())).toEqual({ noValue: "one class", rows: 1 });
  });
});
