import { type NetworkInput, preparedColumns } from "@millrace/onnx";
import type { FeatureColumn } from "../dataset/training-table.ts";
import { categoryAt, numberAt } from "./fit-preparation.ts";

/** What a network reads of some rows. */
export interface PreparedRows {
  readonly rows: number;
  /** Columns of the matrix; 0 where every input is an embedding. */
  readonly columns: number;
  /** [rows, columns], row-major. */
  readonly matrix: Float32Array;
  /** The index of each embedding's category, [rows] each, in the order of the inputs. */
  readonly indices: readonly Int32Array[];
}

/** Prepares rows for training, exactly as the exported graph will: a test and the export's own check compare them. */
export const prepareRows = (
  inputs: readonly NetworkInput[],
  features: readonly FeatureColumn[],
  rows: Uint32Array,
): PreparedRows => {
  const columns = inputs.reduce((sum, { preparation }) => sum + preparedColumns(preparation), 0);
  const matrix = new Float32Array(rows.length * columns);
  const indices: Int32Array[] = [];
  let first = 0;
  inputs.forEach((input, place) => {
    const feature = features[place];
    if (feature === undefined) {
      throw new TypeError(`There is no column for the input ${input.name}.`);
    }
    if (input.preparation.kind === "embedding") {
      indices.push(Int32Array.from(rows, categoryIndex(input.preparation.categories, feature)));
    } else {
      fill(matrix, columns, first, input, feature, rows);
    }
    first += preparedColumns(input.preparation);
  });
  return { rows: rows.length, columns, matrix, indices };
};

const fill = (
  matrix: Float32Array,
  columns: number,
  first: number,
  { preparation, datatype }: NetworkInput,
  feature: FeatureColumn,
  rows: Uint32Array,
): void => {
  switch (preparation.kind) {
    case "standardize": {
      const { log1p, mean, deviation } = preparation;
      const at = numberAt(feature.data);
      for (let place = 0; place < rows.length; place++) {
        const raw = at(rows[place] as number);
        const stored = datatype === "FP32" ? Math.fround(raw) : raw;
        const value = log1p ? Math.sign(stored) * Math.log(1 + Math.abs(stored)) : stored;
        matrix[place * columns + first] = Number.isFinite(stored) ? (value - mean) / deviation : 0;
      }
      return;
    }
    case "cyclic": {
      const turn = (2 * Math.PI) / preparation.period;
      const at = numberAt(feature.data);
      for (let place = 0; place < rows.length; place++) {
        const raw = at(rows[place] as number);
        const angle = (datatype === "FP32" ? Math.fround(raw) : raw) * turn;
        matrix[place * columns + first] = Number.isFinite(angle) ? Math.sin(angle) : 0;
        matrix[place * columns + first + 1] = Number.isFinite(angle) ? Math.cos(angle) : 0;
      }
      return;
    }
    case "one-hot": {
      const indexAt = categoryIndex(preparation.categories, feature);
      for (let place = 0; place < rows.length; place++) {
        matrix[place * columns + first + indexAt(rows[place] as number)] = 1;
      }
      return;
    }
    case "embedding":
      return;
  }
};

const categoryIndex = (
  categories: readonly string[] | readonly bigint[],
  { data }: FeatureColumn,
): ((row: number) => number) => {
  const places = new Map<string | bigint, number>(categories.map((category, place) => [category, place]));
  const at = categoryAt(data);
  return (row) => {
    const category = at(row);
    return (category === undefined ? undefined : places.get(category)) ?? categories.length;
  };
};
