import { elementCount, type Tensor, toNumbers } from "@millrace/tensor";
import { calibratedOutput } from "../prediction/calibrated-outputs.ts";
import type { RunOptions, Servable } from "../serving/servable.ts";
import { ExplainRequestInvalidError } from "./explain-errors.ts";
import { MixedRows, type RowTable, type Unit } from "./row-table.ts";
import type { Walk } from "./shapley-values.ts";

/** What of a model's answer is explained: one element of each row of an output. */
export interface ExplainedOutput {
  /** Place of the output. */
  readonly output: number;
  readonly element: number;
  /** Whether probabilities are as the package calibrates them, as Predict answers them; else as the graph gives them. */
  readonly calibrated: boolean;
}

/**
 * Runs a model on the rows that an explanation needs, through the model's own lane at its lowest priority. No more runs
 * are under way at once than it has workers, and one that waits: an explanation never fills the queue.
 */
export class ExplainedModel {
  readonly #served: Servable;
  readonly #explained: ExplainedOutput;
  readonly #options: RunOptions;
  #evaluations = 0;

  constructor(served: Servable, explained: ExplainedOutput, options: RunOptions) {
    this.#served = served;
    this.#explained = explained;
    this.#options = { ...options, priority: Infinity };
  }

  /** Rows that were run. */
  get evaluations(): number {
    return this.#evaluations;
  }

  /** The answer to each row of a table. */
  async evaluateRows(table: RowTable): Promise<Float64Array> {
    return await this.#evaluate(table, table.rows, function* (mixed) {
      for (let row = 0; row < table.rows; row++) {
        mixed().addRow(table, row);
        yield;
      }
    });
  }

  /** The answer to each row of walks from the background's rows to a row of the table. */
  async evaluateWalks(
    walks: readonly Walk[],
    units: readonly Unit[],
    background: RowTable,
    table: RowTable,
    row: number,
  ): Promise<Float64Array> {
    let count = 0;
    for (const { from, to } of walks) count += Math.max(0, to - from + 1);
    const make = (mixed: MixedRows, { order, background: other }: Walk, known: number, goesOn: boolean) => {
      if (goesOn) mixed.addLastRow();
      else mixed.addRow(background, other);
      for (let place = goesOn ? known - 1 : 0; place < known; place++) {
        const unit = units[order[place] ?? 0];
        if (unit !== undefined) mixed.set(unit, table, row);
      }
    };
    return await this.#evaluate(background, count, function* (mixed) {
      for (const walk of walks) {
        for (let known = walk.from; known <= walk.to; known++) {
          const into = mixed();
          make(into, walk, known, known > walk.from && into.filled > 0);
          yield;
        }
      }
    });
  }

  /**
   * Runs rows, as many in one run as the model joins.
   * @param fill adds one row to what the given function answers, each time it is gone on with.
   */
  async #evaluate(
    like: RowTable,
    count: number,
    fill: (mixed: () => MixedRows) => Generator<undefined, void>,
  ): Promise<Float64Array> {
    const served = this.#served;
    const capacity = served.batched ? served.maxBatchSize : 1;
    const values = new Float64Array(count);
    let mixed = new MixedRows(like, Math.min(capacity, count));
    const rows = fill(() => mixed);
    let next = 0;
    let failed = false;
    const run = async (): Promise<void> => {
      while (next < count && !failed) {
        mixed = new MixedRows(like, Math.min(capacity, count - next));
        while (mixed.filled < mixed.capacity) rows.next();
        const first = next;
        next += mixed.filled;
        try {
          await this.#run(mixed, values.subarray(first, next));
        } catch (error) {
          failed = true;
          throw error;
        }
      }
    };
    await Promise.all(Array.from({ length: Math.max(1, served.instanceCount) + 1 }, run));
    return values;
  }

  async #run(mixed: MixedRows, values: Float64Array): Promise<void> {
    const rows = mixed.filled;
    const { output, element, calibrated } = this.#explained;
    const served = this.#served;
    await served.infer(mixed.tensors(), served.batched ? rows : 1, this.#options, (outputs) => {
      const answer = outputs[output];
      if (answer === undefined) throw new RangeError(`The model gave no output at ${output}.`);
      const mapped = calibrated ? calibratedOutput(served.origin.manifest, outputs) : undefined;
      readElement(mapped?.name === answer.name ? mapped.tensor : answer, rows, element, values);
    });
    this.#evaluations += rows;
  }
}

/** Reads one element of each row. @throws ExplainRequestInvalidError where a row has no such element. */
const readElement = (
  { name, datatype, shape, data }: Tensor,
  rows: number,
  element: number,
  values: Float64Array,
): void => {
  if (datatype === "BYTES") throw new ExplainRequestInvalidError("output", "an output of numbers", `${name} of BYTES`);
  const perRow = elementCount(shape) / rows;
  if (!Number.isInteger(perRow)) {
    throw new ExplainRequestInvalidError("output", "an output with rows", `${name} [${shape.join(", ")}]`);
  }
  if (element >= perRow) {
    throw new ExplainRequestInvalidError("element", `below ${perRow}, the elements of a row of ${name}`, `${element}`);
  }
  const numbers = toNumbers(datatype, data);
  for (let row = 0; row < rows; row++) values[row] = numbers[row * perRow + element] ?? 0;
};
