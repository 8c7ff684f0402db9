import { ValueType } from "@millrace/contracts/millrace/feature/v1/column";
import type { InputPreparation } from "@millrace/contracts/millrace/training/v1/training_spec";
import type { FittedPreparation, InputDatatype, NetworkInput } from "@millrace/onnx";
import { DatasetUnusableError } from "../dataset/dataset-unusable-error.ts";
import type { ColumnValues, FeatureColumn } from "../dataset/training-table.ts";

const defaultMinCount = 10;
const defaultMaxCategories = 1000;

/**
 * Learns from the training rows alone how each feature is prepared: means and deviations of numbers, the categories of
 * strings. A feature without a word in the spec gets the default of its type: numbers are standardised, strings and
 * booleans become one-hot. A feature's input has the feature's own type, but for whole numbers and booleans that were null
 * in some training row: their input is FP64, whose NaN is null.
 *
 * @param mayBeNull whether a feature can be null when it is served, whatever the dataset holds.
 * @throws DatasetUnusableError naming the feature that nothing can be learned from: no value at all, or no
 * category that was seen often enough.
 */
export const fitPreparation = (
  features: readonly FeatureColumn[],
  rows: Uint32Array,
  preparations: readonly InputPreparation[],
  mayBeNull: (feature: string) => boolean,
): NetworkInput[] => {
  const asked = new Map(preparations.map((preparation) => [preparation.feature, preparation]));
  return features.map((feature) => ({
    name: feature.name,
    datatype: datatypeOf(feature, mayBeNull(feature.name)),
    preparation: fit(feature, rows, asked.get(feature.name)),
  }));
};

/** Only floating point can say null, as NaN: whole numbers that may be null when they are served are read as doubles. */
const datatypeOf = ({ type, data }: FeatureColumn, mayBeNull: boolean): InputDatatype => {
  switch (data.kind) {
    case "string":
      return "BYTES";
    case "integer":
      return data.nulls === undefined && !mayBeNull ? "INT64" : "FP64";
    case "boolean":
      return data.nulls === undefined && !mayBeNull ? "BOOL" : "FP64";
    case "number":
      return type === ValueType.FLOAT ? "FP32" : "FP64";
  }
};

const fit = (feature: FeatureColumn, rows: Uint32Array, asked: InputPreparation | undefined): FittedPreparation => {
  const wanted = asked?.preparation;
  switch (wanted?.case) {
    case "standardize":
      return fitStandardize(feature, rows, wanted.value.log1p);
    case "cyclic":
      return { kind: "cyclic", period: wanted.value.period };
    case "oneHot":
      return {
        kind: "one-hot",
        categories: fitCategories(feature, rows, wanted.value.minCount, wanted.value.maxCategories),
      };
    case "embedding":
      return { kind: "embedding", categories: fitCategories(feature, rows, wanted.value.minCount, 0) };
    default:
      return feature.data.kind === "string" || feature.data.kind === "boolean"
        ? { kind: "one-hot", categories: fitCategories(feature, rows, 0, 0) }
        : fitStandardize(feature, rows, false);
  }
};

/** Mean and deviation by Welford's method; of sign(x) · log(1 + |x|) where log1p is set. Nulls and infinities do not count. */
const fitStandardize = ({ name, data }: FeatureColumn, rows: Uint32Array, log1p: boolean): FittedPreparation => {
  const at = numberAt(data);
  let count = 0;
  let mean = 0;
  let squares = 0;
  for (const row of rows) {
    const raw = at(row);
    if (!Number.isFinite(raw)) {
      continue;
    }
    const value = log1p ? Math.sign(raw) * Math.log(1 + Math.abs(raw)) : raw;
    count += 1;
    const distance = value - mean;
    mean += distance / count;
    squares += distance * (value - mean);
  }
  if (count === 0) {
    throw new DatasetUnusableError(name, "a value in some training row", "null in every one");
  }
  const deviation = Math.sqrt(squares / count);
  return { kind: "standardize", log1p, mean, deviation: deviation > 0 ? deviation : 1 };
};

/** A row's value as a number; NaN where it is null. */
export const numberAt = (data: ColumnValues): ((row: number) => number) => {
  switch (data.kind) {
    case "number":
      return (row) => data.values[row] as number;
    case "integer":
    case "boolean":
      return (row) => (data.nulls?.[row] === 1 ? Number.NaN : Number(data.values[row]));
    case "string":
      return () => Number.NaN;
  }
};

/** The most frequent first; of equally frequent ones the smaller first, so that the order is always the same. */
const fitCategories = (
  { name, data }: FeatureColumn,
  rows: Uint32Array,
  askedMinCount: number,
  askedMaxCategories: number,
): string[] | bigint[] => {
  const minCount = askedMinCount || Math.min(defaultMinCount, Math.max(1, Math.floor(rows.length / 1000)));
  const maxCategories = askedMaxCategories || defaultMaxCategories;
  const counts = new Map<string | bigint, number>();
  const at = categoryAt(data);
  for (const row of rows) {
    const category = at(row);
    if (category !== undefined) {
      counts.set(category, (counts.get(category) ?? 0) + 1);
    }
  }
  const kept = [...counts]
    .filter(([, count]) => count >= minCount)
    .sort(([a, countA], [b, countB]) => countB - countA || (a < b ? -1 : 1))
    .slice(0, maxCategories)
    .map(([category]) => category);
  if (kept.length === 0) {
    throw new DatasetUnusableError(name, `a category seen in ${minCount} training rows`, `${counts.size} rarer ones`);
  }
  return data.kind === "string"
    ? kept.filter((category) => typeof category === "string")
    : kept.filter((category) => typeof category === "bigint");
};

/** A row's category; undefined where it is null or no whole number. */
export const categoryAt = (data: ColumnValues): ((row: number) => string | bigint | undefined) => {
  switch (data.kind) {
    case "string":
      return (row) => data.values[row] || undefined;
    case "integer":
      return (row) => (data.nulls?.[row] === 1 ? undefined : data.values[row]);
    case "boolean":
      return (row) => (data.nulls?.[row] === 1 ? undefined : BigInt(data.values[row] ?? 0));
    case "number":
      return (row) => {
        const value = data.values[row] as number;
        return Number.isInteger(value) && Math.abs(value) < 2 ** 53 ? BigInt(value) : undefined;
      };
  }
};
