import { type DuckDBConnection, DuckDBInstance } from "@duckdb/node-api";
import { MillraceError, Reason } from "@millrace/errors";
import { openParquetTable, quoteIdentifier } from "./compared-table.ts";
import { MetricHasNoValueError } from "./metric-has-no-value-error.ts";
import {
  binaryMetric,
  binaryMetricNames,
  higherIsBetter,
  MetricUnknownError,
  regressionMetric,
  regressionMetricNames,
} from "./metrics/metric.ts";
import { estimatedRows } from "./metrics/regression-metrics.ts";
import { scoredRows } from "./metrics/scored-rows.ts";

export type EvaluatedTask = "binary" | "regression";

export interface EvaluateOptions {
  /** The column with what was true: 0 and 1 or a boolean for a binary task, a number for a regression. */
  readonly label: string;
  /** The column with what a model said: the probability of 1, or the estimate (for PINBALL of that quantile). */
  readonly prediction: string;
  /** A column with the weight of each row; default 1. */
  readonly weight?: string;
  /** Columns whose values divide the rows. */
  readonly slices?: readonly string[];
  /** Slices of fewer rows are left out; default 1. */
  readonly minSliceRows?: number;
  /** Default: binary where every label is 0 or 1. */
  readonly task?: EvaluatedTask;
  /** Default: all of the task. */
  readonly metrics?: readonly string[];
}

/** One metric of all rows or of a slice. */
export interface EvaluatedMetric {
  readonly metric: string;
  /** The value of the slice's column; null for all rows. */
  readonly slice: string | null;
  /** The column that the slice is of; null for all rows. */
  readonly sliceColumn: string | null;
  readonly rows: number;
  /** Null where the metric has none on these rows: `error` says why. */
  readonly value: number | null;
  readonly error?: { readonly reason: string; readonly message: string };
}

/** Thrown where a table cannot be evaluated: a column is missing, of another type, or has rows without a value. */
export class TableNotEvaluableError extends MillraceError {
  constructor(field: string, expected: string, got: string) {
    super("INVALID_ARGUMENT", Reason.DATASET_UNUSABLE, `${field}: expected ${expected}, got ${got}.`, {
      violations: [{ field, expected, got }],
    });
  }
}

const defaultQuantiles = ["PINBALL_10", "PINBALL_50", "PINBALL_90"];

/** These ask for the order of the predictions alone. */
const rankMetrics: readonly string[] = ["ROC_AUC", "PR_AUC"];

/**
 * The metrics of a Parquet file that holds labels and predictions, whoever made them: overall, then by slice, the worst
 * slice of each column first.
 * @throws ComparisonInvalidError for a file that cannot be read, TableNotEvaluableError, MetricUnknownError.
 */
export const evaluateParquet = async (path: string, options: EvaluateOptions): Promise<EvaluatedMetric[]> => {
  const instance = await DuckDBInstance.create(":memory:", { threads: "2" });
  const connection = await instance.connect();
  try {
    const { sql, types } = await openParquetTable(connection, "table", path);
    for (const [field, name] of Object.entries({ label: options.label, prediction: options.prediction })) {
      requireNumbers(field, name, types);
    }
    if (options.weight !== undefined) requireNumbers("weight", options.weight, types);
    for (const name of options.slices ?? []) requireColumn("slice", name, types);
    return evaluateRows(await readRows(connection, sql, options), options);
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
};

interface Rows {
  readonly labels: Float64Array;
  readonly predictions: Float64Array;
  readonly weights: Float64Array | undefined;
  /** By slice column, a value a row. */
  readonly slices: ReadonlyMap<string, readonly string[]>;
}

const requireColumn = (field: string, name: string, types: ReadonlyMap<string, string>): string => {
  const type = types.get(name);
  if (type === undefined) throw new TableNotEvaluableError(field, `one of ${[...types.keys()].join(", ")}`, name);
  return type;
};

const requireNumbers = (field: string, name: string, types: ReadonlyMap<string, string>): void => {
  const type = requireColumn(field, name, types);
  if (/^(U?(TINYINT|SMALLINT|INTEGER|BIGINT|HUGEINT)|FLOAT|DOUBLE|BOOLEAN|DECIMAL.*)$/.test(type)) return;
  throw new TableNotEvaluableError(field, `numbers or booleans in the column ${name}`, type);
};

const readRows = async (
  connection: DuckDBConnection,
  table: string,
  { label, prediction, weight, slices = [] }: EvaluateOptions,
): Promise<Rows> => {
  const numbers = Object.entries({ label, prediction, ...(weight === undefined ? {} : { weight }) });
  const selected = [
    ...numbers.map(([, name]) => `CAST(${quoteIdentifier(name)} AS DOUBLE)`),
    ...slices.map((name) => `coalesce(CAST(${quoteIdentifier(name)} AS VARCHAR), 'null')`),
  ];
  const read = numbers.map((): number[] => []);
  const sliced = slices.map((): string[] => []);
  const result = await connection.stream(`SELECT ${selected.join(", ")} FROM ${table}`);
  for (let chunk = await result.fetchChunk(); chunk !== null && chunk.rowCount > 0; chunk = await result.fetchChunk()) {
    const columns = chunk.getColumns();
    numbers.forEach(([field, name], index) => {
      for (const value of columns[index] ?? []) {
        if (typeof value !== "number" || !Number.isFinite(value)) {
          const got = value === null ? "null" : String(value);
          const row = read[index]?.length ?? 0;
          throw new TableNotEvaluableError(field, `a finite number in every row of ${name}`, `${got} in row ${row}`);
        }
        read[index]?.push(value);
      }
    });
    sliced.forEach((values, index) => {
      for (const value of columns[numbers.length + index] ?? []) values.push(String(value));
    });
  }
  const [labels = [], predictions = [], weights] = read;
  if (labels.length === 0) throw new TableNotEvaluableError("table", "at least one row", "none");
  const negative = weights?.find((value) => value < 0);
  if (negative !== undefined) throw new TableNotEvaluableError("weight", "no negative weight", String(negative));
  return {
    labels: Float64Array.from(labels),
    predictions: Float64Array.from(predictions),
    weights: weights === undefined ? undefined : Float64Array.from(weights),
    slices: new Map(slices.map((name, index) => [name, sliced[index] ?? []])),
  };
};

const evaluateRows = (rows: Rows, options: EvaluateOptions): EvaluatedMetric[] => {
  const isBinary = rows.labels.every((label) => label === 0 || label === 1);
  const task = options.task ?? (isBinary ? "binary" : "regression");
  if (task === "binary" && !isBinary) {
    const other = rows.labels.find((label) => label !== 0 && label !== 1);
    throw new TableNotEvaluableError("label", "0 or 1 in every row of a binary task", String(other));
  }
  const known = task === "binary" ? binaryMetricNames : [...regressionMetricNames, ...defaultQuantiles];
  const names = options.metrics?.length ? options.metrics : known;
  for (const name of names) {
    const isKnown = known.some((one) => one === name) || (task === "regression" && /^PINBALL_[1-9][0-9]?$/.test(name));
    if (!isKnown) throw new MetricUnknownError(name, known);
  }
  const [first = ""] = names;
  const overall = measure(rows, task, names, null, null);
  const bySlice = [...rows.slices].flatMap(([column, values]) => {
    const members = Map.groupBy(values.keys(), (row) => values[row] ?? "");
    const kept = [...members].filter(([, indices]) => indices.length >= (options.minSliceRows ?? 1));
    const measured = kept.map(([value, indices]) => measure(rowsAt(rows, indices), task, names, column, value));
    return measured.sort((a, b) => badness(b, first) - badness(a, first)).flat();
  });
  return [...overall, ...bySlice];
};

/** How bad the first metric is; a slice where it has no value comes last. */
const badness = (metrics: readonly EvaluatedMetric[], name: string): number => {
  const value = metrics.find(({ metric }) => metric === name)?.value ?? null;
  if (value === null) return Number.NEGATIVE_INFINITY;
  return higherIsBetter(name) ? -value : value;
};

const rowsAt = (rows: Rows, indices: readonly number[]): Rows => {
  const pick = (numbers: Float64Array): Float64Array => Float64Array.from(indices, (index) => numbers[index] ?? 0);
  const { labels, predictions, weights } = rows;
  return { labels: pick(labels), predictions: pick(predictions), weights: weights && pick(weights), slices: new Map() };
};

const measure = (
  { labels, predictions, weights }: Rows,
  task: EvaluatedTask,
  names: readonly string[],
  sliceColumn: string | null,
  slice: string | null,
): EvaluatedMetric[] => {
  const about = { slice, sliceColumn, rows: labels.length };
  const metricOf =
    task === "binary" ? binaryOf(labels, predictions, weights) : regressionOf(labels, predictions, weights);
  return names.map((metric) => {
    try {
      return { metric, ...about, value: metricOf(metric) };
    } catch (error) {
      if (!(error instanceof MetricHasNoValueError)) throw error;
      return { metric, ...about, value: null, error: { reason: error.noValue, message: error.message } };
    }
  });
};

const binaryOf = (labels: Float64Array, predictions: Float64Array, weights: Float64Array | undefined) => {
  const rows = scoredRows(labels, predictions);
  const areProbabilities = predictions.every((value) => value >= 0 && value <= 1);
  return (name: string): number => {
    if (!areProbabilities && !rankMetrics.includes(name)) throw new MetricHasNoValueError(name, "not a probability");
    return binaryMetric(name, rows, weights);
  };
};

const regressionOf = (labels: Float64Array, predictions: Float64Array, weights: Float64Array | undefined) => {
  const rows = estimatedRows(labels, predictions);
  return (name: string): number => regressionMetric(name, rows, weights);
};
