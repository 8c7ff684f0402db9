import { MillraceError } from "@millrace/errors";
import { type DriftTest, defaultDriftTest, distinctOfBoth, driftTest, rowsOf, type Sample } from "./drift-test.ts";

/** The two samples of one column, or why there are none. */
export type ComparedColumn =
  | { readonly name: string; readonly reference: Sample; readonly current: Sample }
  | { readonly name: string; readonly error: string };

export type Verdict = "DRIFT" | "NO_DRIFT" | "NO_DATA";

/** What one test says of one column. */
export interface ColumnComparison {
  readonly column: string;
  readonly test: string;
  /** The distance, or the statistic of a test with a p-value. */
  readonly value?: number;
  readonly pValue?: number;
  readonly threshold?: number;
  readonly verdict: Verdict;
  /** Why there is no value. */
  readonly error?: string;
}

export interface Comparison {
  readonly columns: readonly ColumnComparison[];
  /** Whether half of the columns with a verdict, or more, drifted by one of the tests. */
  readonly datasetDrift: boolean;
}

/** The name by which the default test can be asked for, beside others. */
export const DEFAULT_TEST = "default";

const DATASET_DRIFT_SHARE = 0.5;

/**
 * Compares one column exactly.
 * @param tests names of tests; `default`, or none: the one by type and size.
 * @throws ComparisonInvalidError for an unknown test.
 */
export const compareColumn = (column: ComparedColumn, tests: readonly string[]): readonly ColumnComparison[] => {
  for (const test of tests) if (test !== DEFAULT_TEST) driftTest(test);
  if ("error" in column)
    return (tests.length === 0 ? [""] : tests).map((test) => noData(column.name, test, column.error));
  const { name, reference, current } = column;
  for (const [side, sample] of [["reference", reference] as const, ["current", current] as const])
    if (rowsOf(sample) === 0)
      return (tests.length === 0 ? [""] : tests).map((test) => noData(name, test, `no data in ${side}`));
  return (tests.length === 0 ? [DEFAULT_TEST] : tests).map((test) =>
    applyTest(name, test === DEFAULT_TEST ? defaultDriftTest(reference, current) : driftTest(test), reference, current),
  );
};

const applyTest = (name: string, test: DriftTest, reference: Sample, current: Sample): ColumnComparison => {
  if (test.numbersOnly && (reference.kind !== "numbers" || current.kind !== "numbers"))
    return noData(name, test.name, `${test.name} needs numbers`);
  if (test.mostValues !== undefined && distinctOfBoth(reference, current, test.mostValues) > test.mostValues)
    return noData(name, test.name, `${test.name} needs at most ${test.mostValues} values`);
  try {
    const score = test.score(reference, current);
    return {
      column: name,
      test: test.name,
      ...score,
      threshold: test.threshold,
      verdict: test.drifts(score) ? "DRIFT" : "NO_DRIFT",
    };
  } catch (error) {
    if (error instanceof MillraceError) return noData(name, test.name, error.message);
    throw error;
  }
};

const noData = (column: string, test: string, error: string): ColumnComparison => ({
  column,
  test,
  verdict: "NO_DATA",
  error,
});

/** Puts the verdicts of all columns together. */
export const summarizeComparison = (columns: readonly ColumnComparison[]): Comparison => {
  const byColumn = Map.groupBy(
    columns.filter(({ verdict }) => verdict !== "NO_DATA"),
    ({ column }) => column,
  );
  const drifted = [...byColumn.values()].filter((tests) => tests.some(({ verdict }) => verdict === "DRIFT")).length;
  return { columns, datasetDrift: byColumn.size > 0 && drifted / byColumn.size >= DATASET_DRIFT_SHARE };
};
