import { create } from "@bufbuild/protobuf";
import {
  type Calibration,
  type Performance,
  PerformanceSchema,
} from "@millrace/contracts/millrace/model/v1/model_package";
import { calibrator } from "../isotonic.ts";
import { logLossOf } from "../metrics/probability-metrics.ts";

/** Bins of equal width over [0, 1]: a multiple of 10, 15 and 20, so that calibration bins are unions of these. */
export const SCORE_BINS = 600;

/**
 * Sums are kept in whole multiples of 2^-30, which doubles add exactly up to 2^23: the sum then does not depend on the
 * order in which labels came, so a consumer that was killed and went on has the very same figures.
 */
const exactly = (value: number): number => Math.round(value * 2 ** 30) / 2 ** 30;

/** The score bin of a probability. */
export const scoreBinOf = (score: number): number => {
  const bin = Math.floor(score * SCORE_BINS);
  return bin < 0 ? 0 : bin >= SCORE_BINS ? SCORE_BINS - 1 : bin;
};

/**
 * Counts scores and labels of a binary model, and what the calibrated scores say of labels that have not come
 * (confidence-based estimation): with c the calibrated probability of a row, its expected positives are c, its expected
 * log loss is that of its score under a label drawn with chance c.
 */
export class PerformanceProfiler {
  readonly #calibrate: (score: number) => number;
  readonly #positives = new Float64Array(SCORE_BINS);
  readonly #negatives = new Float64Array(SCORE_BINS);
  readonly #expectedPositives = new Float64Array(SCORE_BINS);
  readonly #expectedNegatives = new Float64Array(SCORE_BINS);
  readonly #scored = new Float64Array(SCORE_BINS);
  #labelled = 0;
  #logLossSum = 0;
  #squaredErrorSum = 0;
  #absoluteErrorSum = 0;
  #labelSum = 0;
  #labelSquaredSum = 0;
  #estimatedLogLossSum = 0;

  constructor(calibration?: Calibration) {
    this.#calibrate = calibrator(calibration);
  }

  /** A row was scored, labelled or not. @param score a probability. */
  addScore(score: number): void {
    const bin = scoreBinOf(score);
    const expected = exactly(this.#calibrate(score));
    this.#scored[bin] = (this.#scored[bin] as number) + 1;
    this.#expectedPositives[bin] = (this.#expectedPositives[bin] as number) + expected;
    this.#expectedNegatives[bin] = (this.#expectedNegatives[bin] as number) + (1 - expected);
    this.#estimatedLogLossSum += exactly(expected * logLossOf(1, score) + (1 - expected) * logLossOf(0, score));
  }

  /** A scored row got its label. @param label 1 or 0. */
  addLabel(score: number, label: number): void {
    const bin = scoreBinOf(score);
    const counts = label === 1 ? this.#positives : this.#negatives;
    counts[bin] = (counts[bin] as number) + 1;
    this.#labelled++;
    this.#logLossSum += exactly(logLossOf(label, score));
    this.#squaredErrorSum += exactly((score - label) ** 2);
    this.#absoluteErrorSum += exactly(Math.abs(score - label));
    this.#labelSum += label;
    this.#labelSquaredSum += label;
  }

  /** The truth of a regression's estimate came. */
  addTruth(estimate: number, truth: number): void {
    this.#labelled++;
    this.#squaredErrorSum += (estimate - truth) ** 2;
    this.#absoluteErrorSum += Math.abs(estimate - truth);
    this.#labelSum += truth;
    this.#labelSquaredSum += truth * truth;
  }

  merge(other: Performance): void {
    this.#labelled += Number(other.labelled);
    this.#logLossSum += other.logLossSum;
    this.#squaredErrorSum += other.squaredErrorSum;
    this.#absoluteErrorSum += other.absoluteErrorSum;
    this.#labelSum += other.labelSum;
    this.#labelSquaredSum += other.labelSquaredSum;
    this.#estimatedLogLossSum += other.estimatedLogLossSum;
    for (const [into, more] of [
      [this.#positives, other.positives],
      [this.#negatives, other.negatives],
      [this.#scored, other.scored],
      [this.#expectedPositives, other.expectedPositives],
      [this.#expectedNegatives, other.expectedNegatives],
    ] as const) {
      if (more.length === 0) continue;
      if (more.length !== SCORE_BINS)
        throw new RangeError(
          `Expected ${SCORE_BINS} score bins, got ${more.length}: the profile is of another version.`,
        );
      for (let bin = 0; bin < SCORE_BINS; bin++) into[bin] = (into[bin] as number) + Number(more[bin]);
    }
  }

  toPerformance(): Performance {
    const scored = this.#scored.some((rows) => rows > 0);
    const labelled = this.#positives.some((rows) => rows > 0) || this.#negatives.some((rows) => rows > 0);
    return create(PerformanceSchema, {
      labelled: BigInt(this.#labelled),
      positives: labelled ? Array.from(this.#positives, BigInt) : [],
      negatives: labelled ? Array.from(this.#negatives, BigInt) : [],
      logLossSum: this.#logLossSum,
      squaredErrorSum: this.#squaredErrorSum,
      absoluteErrorSum: this.#absoluteErrorSum,
      labelSum: this.#labelSum,
      labelSquaredSum: this.#labelSquaredSum,
      estimatedLogLossSum: this.#estimatedLogLossSum,
      expectedPositives: scored ? Array.from(this.#expectedPositives) : [],
      expectedNegatives: scored ? Array.from(this.#expectedNegatives) : [],
      scored: scored ? Array.from(this.#scored, BigInt) : [],
    });
  }
}
