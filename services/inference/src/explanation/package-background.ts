import type {
  Baseline,
  ColumnLayout,
  ColumnProfile,
  Golden,
} from "@millrace/contracts/millrace/model/v1/model_package";
import type { ModelPackageReader } from "@millrace/model-package";
import { isNumeric, mergeProfiles } from "@millrace/stats";
import {
  byteCount,
  bytesOf,
  encodeStrings,
  isDatatype,
  type Tensor,
  type TensorSpec,
  typedView,
} from "@millrace/tensor";
import { NoBackgroundError } from "./explain-errors.ts";
import { RowTable } from "./row-table.ts";

/** What a package says of rows that are normal for its model. */
export interface PackageBackground {
  /** The inputs of its golden examples, in the model's order; undefined where they do not all have each input. */
  readonly golden: RowTable | undefined;
  /** By input of the model: what its column holds. */
  readonly marginals: ReadonlyMap<string, Marginal>;
}

/** The distribution of one column, by itself. */
export interface Marginal {
  readonly values: readonly (number | string | undefined)[];
  /** Sums of the rows up to each value, for a draw. */
  readonly cumulative: readonly number[];
}

/** Reads the golden examples and the baseline of a package. */
export const packageBackground = async (
  reader: ModelPackageReader,
  specs: readonly TensorSpec[],
  signal?: AbortSignal,
): Promise<PackageBackground> => {
  const features = new Map(reader.manifest.features?.inputs.map(({ input, feature }) => [input, feature]));
  const columns = marginalsOf(await reader.baseline(signal));
  const golden = await reader.golden(signal);
  return {
    golden: golden === undefined ? undefined : goldenRows(golden, specs),
    marginals: new Map(
      specs.flatMap(({ name }) => {
        const marginal = columns.get(features.get(name) ?? name) ?? columns.get(name);
        return marginal === undefined ? [] : [[name, marginal] as const];
      }),
    ),
  };
};

/**
 * Rows that stand for "not known", of a package.
 *
 * Where the golden examples have at least as many rows as are asked for, they are rows of those: real ones, with what
 * belongs together in them. Otherwise each column is drawn by itself from its profile over all days of the baseline: a
 * bin by its share of the rows, and the mean of the values in that bin; a category by its share; null by its share.
 * Columns are then independent of each other, so that a background row may be one that never was.
 *
 * @param random numbers in [0, 1).
 * @throws NoBackgroundError where an input has neither.
 */
export const drawBackground = (
  model: string,
  { golden, marginals }: PackageBackground,
  specs: readonly TensorSpec[],
  rows: number,
  random: () => number,
): RowTable => {
  if (golden !== undefined && golden.rows >= rows) return golden.chosen(sampleRows(golden.rows, rows, random));
  return new RowTable(
    specs.map((spec) => {
      const marginal = marginals.get(spec.name);
      if (marginal === undefined) {
        throw new NoBackgroundError(
          model,
          `its package has ${golden?.rows ?? 0} golden rows, not ${rows}, and no profile of the input ${spec.name}.`,
        );
      }
      if (spec.shape.slice(1).some((dimension) => dimension !== 1)) {
        throw new NoBackgroundError(model, `its package has no profile of each element of the input ${spec.name}.`);
      }
      return drawnColumn(model, spec, marginal, rows, random);
    }),
  );
};

/** Some of so many rows, each at most once, in ascending order. */
export const sampleRows = (all: number, rows: number, random: () => number): number[] => {
  const left = Array.from({ length: all }, (_, row) => row);
  for (let place = 0; place < rows; place++) {
    const other = place + Math.floor(random() * (all - place));
    [left[place], left[other]] = [left[other] ?? 0, left[place] ?? 0];
  }
  return left.slice(0, rows).sort((a, b) => a - b);
};

const goldenRows = ({ examples }: Golden, specs: readonly TensorSpec[]): RowTable | undefined => {
  const tensors = specs.map((spec): Tensor | undefined => {
    const parts = examples.map(({ inputs }) => inputs.find(({ name }) => name === spec.name));
    const [first] = parts;
    if (first === undefined || !isDatatype(first.datatype)) return undefined;
    const rest = first.shape.slice(1).map(Number);
    let rows = 0;
    for (const part of parts) {
      if (part?.datatype !== spec.datatype || part.shape.slice(1).map(Number).join() !== rest.join()) return undefined;
      rows += Number(part.shape[0] ?? 0n);
    }
    const data = Buffer.concat(parts.flatMap((part) => part?.data ?? []));
    return { name: spec.name, datatype: spec.datatype, shape: [rows, ...rest], data };
  });
  const whole = tensors.flatMap((tensor) => tensor ?? []);
  const rows = new Set(whole.map(({ shape }) => shape[0]));
  return whole.length === specs.length && rows.size === 1 ? new RowTable(whole) : undefined;
};

const marginalsOf = (baseline: Baseline | undefined): ReadonlyMap<string, Marginal> => {
  if (baseline === undefined) return new Map();
  const merged = mergeProfiles(
    baseline.columns,
    baseline.days.flatMap(({ profile }) => profile ?? []),
  );
  return new Map(
    baseline.columns.flatMap((layout, index) => {
      const profile = merged.columns[index];
      if (layout.output || profile === undefined) return [];
      return [[layout.name, isNumeric(layout.meaning) ? numbersOf(layout, profile) : categoriesOf(layout, profile)]];
    }),
  );
};

const numbersOf = (layout: ColumnLayout, profile: ColumnProfile): Marginal => {
  const drawn = profile.bins.map((count, bin): Drawn => {
    const mean = layout.clipLow + (profile.binSums[bin] ?? 0) / Number(count);
    return { value: mean, rows: Number(count) };
  });
  return marginal([...drawn, { value: undefined, rows: Number(profile.nulls + profile.nans) }]);
};

/** The last bin is of categories without one: those of them that were kept by name are drawn. */
const categoriesOf = (layout: ColumnLayout, profile: ColumnProfile): Marginal =>
  marginal([
    ...layout.categories.map((value, bin): Drawn => ({ value, rows: Number(profile.bins[bin] ?? 0n) })),
    ...Object.entries(profile.unseen).map(([value, rows]): Drawn => ({ value, rows: Number(rows) })),
    { value: undefined, rows: Number(profile.nulls) },
  ]);

interface Drawn {
  /** Undefined for null. */
  readonly value: number | string | undefined;
  readonly rows: number;
}

const marginal = (drawn: readonly Drawn[]): Marginal => {
  const kept = drawn.filter(({ rows }) => rows > 0);
  let sum = 0;
  return {
    values: kept.map(({ value }) => value),
    cumulative: kept.map(({ rows }) => {
      sum += rows;
      return sum;
    }),
  };
};

const drawnColumn = (
  model: string,
  { name, datatype }: TensorSpec,
  column: Marginal,
  rows: number,
  random: () => number,
): Tensor => {
  const canBeNull = datatype === "FP32" || datatype === "FP64" || datatype === "BYTES";
  const { values, cumulative } = canBeNull ? column : withoutNull(column);
  const total = cumulative.at(-1);
  if (total === undefined) throw new NoBackgroundError(model, `its package has no values of the input ${name}.`);
  const drawn = Array.from({ length: rows }, () => {
    const point = random() * total;
    return values[cumulative.findIndex((sum) => sum > point)];
  });
  const shape = [rows, 1];
  if (datatype === "BYTES") {
    return { name, datatype, shape, data: encodeStrings(drawn.map((value) => String(value ?? ""))) };
  }
  const numbers = drawn.map((value) => {
    if (value === undefined) return Number.NaN;
    const number = value === "true" ? 1 : value === "false" ? 0 : Number(value);
    if (!Number.isNaN(number)) return number;
    throw new NoBackgroundError(model, `the profile of the input ${name} has texts, and it takes ${datatype}.`);
  });
  return { name, datatype, shape, data: numbersAs(model, name, datatype, numbers) };
};

const withoutNull = ({ values, cumulative }: Marginal): Marginal =>
  marginal(
    values.flatMap((value, place): Drawn | [] =>
      value === undefined ? [] : { value, rows: (cumulative[place] ?? 0) - (cumulative[place - 1] ?? 0) },
    ),
  );

const numbersAs = (
  model: string,
  name: string,
  datatype: Exclude<Tensor["datatype"], "BYTES">,
  numbers: readonly number[],
): Uint8Array => {
  if (datatype === "FP32") return bytesOf(Float32Array.from(numbers));
  if (datatype === "FP64") return bytesOf(Float64Array.from(numbers));
  if (datatype === "FP16")
    throw new NoBackgroundError(model, `the input ${name} takes FP16, and profiles are of doubles.`);
  const data = new Uint8Array(byteCount(datatype, [numbers.length]));
  const view = typedView(datatype, data);
  for (const [row, number] of numbers.entries()) {
    // The mean of a bin of whole numbers need not be one.
    const whole = Math.round(number);
    if (view instanceof BigInt64Array || view instanceof BigUint64Array) view[row] = BigInt(whole);
    else view[row] = whole;
  }
  return data;
};
