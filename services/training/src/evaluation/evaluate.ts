import { create } from "@bufbuild/protobuf";
import {
  type Metric,
  MetricSchema,
  type Slice,
  SliceSchema,
  type Task,
} from "@millrace/contracts/millrace/model/v1/model_package";
import type { EvaluationSpec } from "@millrace/contracts/millrace/training/v1/training_spec";
import { parseDurationUs } from "@millrace/feature-definition";
import { blockBootstrap, MetricHasNoValueError, type Numbers } from "@millrace/stats";
import { deriveSeed } from "../derive-seed.ts";
import { metricsOf } from "./metric-of.ts";

const defaultResamples = 200;
const defaultMinSliceRows = 200;

/** Scores and labels of the held-out rows. */
export interface HeldOutRows {
  readonly task: Task;
  readonly labels: Float64Array;
  readonly scores: Float32Array;
  readonly weights: Float64Array | undefined;
  readonly eventTimesUs: BigInt64Array;
  /** By slice column, a value a row. */
  readonly slices: ReadonlyMap<string, readonly string[]>;
}

/**
 * The metrics of the held-out rows: overall, with a confidence interval by drawing whole blocks of time where the spec
 * asks for it, and per slice. A metric that is not defined on a slice (one class only) is left out of it.
 */
export const evaluate = (
  rows: HeldOutRows,
  names: readonly string[],
  spec: EvaluationSpec | undefined,
  seed: bigint,
): { readonly metrics: Metric[]; readonly slices: Slice[] } => {
  const metric = metricsOf(rows.task, rows.labels, rows.scores);
  const blocks = blocksOf(rows.eventTimesUs, spec);
  const count = BigInt(rows.labels.length);
  const metrics = names.map((name) => {
    const value = metric(name, rows.weights);
    const interval = blocks && bootstrap(blocks, spec, seed, (weights) => metric(name, product(weights, rows.weights)));
    return create(MetricSchema, {
      name,
      value,
      rows: count,
      ...(interval === undefined ? {} : { lower: interval.lower, upper: interval.upper }),
    });
  });
  return { metrics, slices: slicesOf(rows, names, spec) };
};

/** The block of each row, such as its day; undefined where the spec asks for no bootstrap. */
export const blocksOf = (eventTimesUs: BigInt64Array, spec: EvaluationSpec | undefined): Int32Array | undefined => {
  if (spec?.bootstrap === undefined) {
    return undefined;
  }
  const lengthUs = parseDurationUs(spec.bootstrap.blockBy || "1d") ?? 86_400_000_000n;
  return Int32Array.from(eventTimesUs, (time) => Number(time / lengthUs));
};

/** A confidence interval by the spec's number of resamples, the same for the same seed. */
export const bootstrap = (
  blocks: Int32Array,
  spec: EvaluationSpec | undefined,
  seed: bigint,
  statistic: (weights: Float64Array) => number,
) =>
  blockBootstrap(blocks, statistic, {
    resamples: spec?.bootstrap?.resamples || defaultResamples,
    seed: deriveSeed(seed, 3),
  });

/** Weights of a resample and of the rows, multiplied. */
export const product = (a: Float64Array, b: Float64Array | undefined): Float64Array =>
  b === undefined ? a : a.map((weight, row) => weight * (b[row] as number));

const slicesOf = (rows: HeldOutRows, names: readonly string[], spec: EvaluationSpec | undefined): Slice[] => {
  const minRows = spec?.minSliceRows || defaultMinSliceRows;
  const slices: Slice[] = [];
  for (const column of spec?.slices ?? []) {
    const values = rows.slices.get(column) ?? [];
    const byValue = Map.groupBy(values.keys(), (row) => values[row] ?? "");
    for (const [value, members] of [...byValue].sort(([a], [b]) => (a < b ? -1 : 1))) {
      if (members.length < minRows) {
        continue;
      }
      const pick = (numbers: Numbers): Float64Array => Float64Array.from(members, (row) => numbers[row] as number);
      const metric = metricsOf(rows.task, pick(rows.labels), pick(rows.scores));
      const weights = rows.weights && pick(rows.weights);
      const metrics = names.flatMap((name) => {
        const measured = valueOrNothing(() => metric(name, weights));
        return measured === undefined
          ? []
          : [create(MetricSchema, { name, value: measured, rows: BigInt(members.length) })];
      });
      slices.push(create(SliceSchema, { column, value, rows: BigInt(members.length), metrics }));
    }
  }
  return slices;
};

const valueOrNothing = (measure: () => number): number | undefined => {
  try {
    return measure();
  } catch (error) {
    if (error instanceof MetricHasNoValueError) {
      return undefined;
    }
    throw error;
  }
};
