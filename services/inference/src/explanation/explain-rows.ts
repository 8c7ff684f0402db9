import { setImmediate } from "node:timers/promises";
import { seededRandom } from "@millrace/stats";
import type { RunOptions, Servable } from "../serving/servable.ts";
import { ExplainRequestInvalidError, ExplanationCancelledError } from "./explain-errors.ts";
import { ExplainedModel, type ExplainedOutput } from "./explained-model.ts";
import type { RowTable, Unit } from "./row-table.ts";
import { rowsOfWalks, shapleyValues } from "./shapley-values.ts";

export interface RowsToExplain {
  readonly served: Servable;
  readonly explained: ExplainedOutput;
  readonly table: RowTable;
  readonly background: RowTable;
  readonly permutations: number;
  readonly random: () => number;
  /** Most rows that the model may be run on. */
  readonly maxEvaluations: number;
}

export interface RowExplanation {
  readonly base: number;
  readonly output: number;
  /** By unit, in the order of `units`. */
  readonly contributions: Float64Array;
  readonly standardErrors: Float64Array;
}

export interface RowsExplained {
  readonly units: readonly Unit[];
  readonly rows: readonly RowExplanation[];
  /** Rows that the model was run on. */
  readonly evaluations: number;
}

/**
 * Explains rows one after the other.
 * @throws ExplainRequestInvalidError where it would take more runs than the service allows; what the model throws.
 */
export const explainRows = async (request: RowsToExplain, options: RunOptions): Promise<RowsExplained> => {
  const { served, explained, table, background, permutations, random } = request;
  const units = table.units();
  checkEffort(request, units.length);
  const model = new ExplainedModel(served, explained, options);
  const backgroundValues = await model.evaluateRows(background);
  const values = await model.evaluateRows(table);
  const rows: RowExplanation[] = [];
  for (const [row, value] of values.entries()) {
    // Rows that are all like the background run nothing, and would keep every other call waiting.
    await setImmediate();
    if (options.signal?.aborted === true) throw new ExplanationCancelledError();
    const different = Array.from({ length: background.rows }, (_, other) =>
      Uint32Array.from(units.keys()).filter((unit) => !isSame(table, row, background, other, units[unit])),
    );
    // Where a background row is the explained one its answer is this one, whichever batches they were run in.
    const own = backgroundValues.map((other, place) => (different[place]?.length === 0 ? value : other));
    const { contributions, standardErrors } = await shapleyValues(
      { different, units: units.length, backgroundValues: own, value, permutations, random },
      (walks) => model.evaluateWalks(walks, units, background, table, row),
    );
    let base = 0;
    for (const other of own) base += other / own.length;
    rows.push({ base, output: value, contributions, standardErrors });
  }
  return { units, rows, evaluations: model.evaluations };
};

const isSame = (table: RowTable, row: number, background: RowTable, other: number, unit: Unit | undefined): boolean =>
  unit !== undefined && table.hasSame(row, background, other, unit);

const checkEffort = ({ table, background, permutations, maxEvaluations }: RowsToExplain, units: number): void => {
  const walks = Math.max(1, rowsOfWalks(units, permutations));
  const effort = table.rows * background.rows * walks + table.rows + background.rows;
  if (effort <= maxEvaluations) return;
  throw new ExplainRequestInvalidError(
    "permutations",
    `at most ${maxEvaluations} runs of the model, counted in rows`,
    `up to ${effort}: ${table.rows} rows, ${background.rows} rows of background, ${permutations} permutations, ${units} elements a row`,
  );
};

/** The random numbers of a seed of 64 bits. */
export const explanationRandom = (seed: bigint): (() => number) =>
  seededRandom(Number((seed ^ (seed >> 32n)) & 0xffffffffn));
