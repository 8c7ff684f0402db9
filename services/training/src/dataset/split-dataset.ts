import { createHash } from "node:crypto";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { Task } from "@millrace/contracts/millrace/model/v1/model_package";
import type { Split } from "@millrace/contracts/millrace/training/v1/training_spec";
import { DatasetUnusableError } from "./dataset-unusable-error.ts";
import type { TrainingTable } from "./training-table.ts";

/** Row numbers of each part, ascending. A row may be in none. */
export interface SplitDataset {
  readonly training: Uint32Array;
  readonly validation: Uint32Array;
  readonly test: Uint32Array;
  /** BINARY where every label is 0 or 1, else REGRESSION. */
  readonly task: Task;
  /** Rows that a split's end came too early for: their label was known only after it. */
  readonly labelKnownTooLate: number;
}

const partNames = ["training", "validation", "test"] as const;

/**
 * Splits the rows by time (training before `validationFrom`, validation before `testFrom`, test before `testTo`) or by
 * the hash of an expression. By time, a row whose label was known only after the end of its part is left out: whoever
 * had trained at that moment could not have had it. (The test part has an end only where the spec gives one.)
 *
 * @throws DatasetUnusableError for null labels, an empty part, and a part whose label has one value only.
 */
export const splitDataset = (table: TrainingTable, split: Split | undefined): SplitDataset => {
  refuseNullLabels(table);
  const parts = [new Rows(table.rows), new Rows(table.rows), new Rows(table.rows)] as const;
  let late = 0;
  if (split?.split.case === "byTime") {
    const { validationFrom, testFrom, testTo } = split.split.value;
    const ends = [
      timestampUs(validationFrom),
      timestampUs(testFrom),
      testTo === undefined ? undefined : timestampUs(testTo),
    ];
    for (let row = 0; row < table.rows; row++) {
      const time = table.eventTimesUs[row] as bigint;
      const place = ends.findIndex((end) => end === undefined || time < end);
      const end = ends[place];
      if (place < 0) {
        continue;
      }
      if (end !== undefined && table.labelKnownAtUs !== undefined && (table.labelKnownAtUs[row] as bigint) > end) {
        late += 1;
        continue;
      }
      parts[place]?.add(row);
    }
  } else if (split?.split.case === "byHash") {
    const { validation, test } = split.split.value;
    const keys = table.splitKeys ?? [];
    for (let row = 0; row < table.rows; row++) {
      const share = shareOf(keys[row] ?? "");
      parts[share < test ? 2 : share < test + validation ? 1 : 0].add(row);
    }
  }
  const [training, validation, test] = parts.map((rows) => rows.taken()) as [Uint32Array, Uint32Array, Uint32Array];
  const task = taskOf(table.labels);
  [training, validation, test].forEach((rows, place) => {
    refuseUnusablePart(table, rows, partNames[place] ?? "", task, late);
  });
  return { training, validation, test, task, labelKnownTooLate: late };
};

/** A timestamp of the contract in microseconds since 1970. */
export const timestampUs = (timestamp: Timestamp | undefined): bigint =>
  timestamp === undefined ? 0n : timestamp.seconds * 1_000_000n + BigInt(Math.trunc(timestamp.nanos / 1000));

class Rows {
  readonly #rows: Uint32Array;
  #count = 0;

  constructor(most: number) {
    this.#rows = new Uint32Array(most);
  }

  add(row: number): void {
    this.#rows[this.#count++] = row;
  }

  taken(): Uint32Array {
    return this.#rows.slice(0, this.#count);
  }
}

/** From 0 to below 1, the same for equal texts. */
const shareOf = (text: string): number => createHash("sha256").update(text).digest().readUInt32BE(0) / 2 ** 32;

const refuseNullLabels = ({ labels, rows }: TrainingTable): void => {
  let nulls = 0;
  for (let row = 0; row < rows; row++) {
    if (!Number.isFinite(labels[row])) {
      nulls += 1;
    }
  }
  if (nulls > 0) {
    throw new DatasetUnusableError(
      "dataset.examples.label",
      "a value in every row",
      `null or no number in ${nulls} of ${rows} rows`,
    );
  }
};

const taskOf = (labels: Float64Array): Task =>
  labels.every((label) => label === 0 || label === 1) ? Task.BINARY : Task.REGRESSION;

const refuseUnusablePart = (table: TrainingTable, rows: Uint32Array, name: string, task: Task, late: number): void => {
  const [first] = rows;
  if (first === undefined) {
    const lost = late === 0 ? "" : `; the labels of ${late} rows were known only after the end of their split`;
    throw new DatasetUnusableError("dataset.split", `rows in the ${name} split`, `none of ${table.rows}${lost}`);
  }
  if (rows.every((row) => table.labels[row] === table.labels[first])) {
    const value = `only ${table.labels[first]} in ${rows.length} rows`;
    const expected =
      task === Task.BINARY ? `labels of both classes in the ${name} split` : `labels that differ in the ${name} split`;
    throw new DatasetUnusableError("dataset.examples.label", expected, value);
  }
};
