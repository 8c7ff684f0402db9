import type { FeatureInput } from "@millrace/contracts/millrace/model/v1/model_package";
import {
  byteCount,
  bytesOf,
  type Datatype,
  encodeStrings,
  type Tensor,
  type TensorSpec,
  typedView,
} from "@millrace/tensor";
import type { ReadableColumn } from "./column-rows.ts";
import { FeatureMissingError, NoFeaturesError } from "./predict-errors.ts";

/**
 * Fills the graph's inputs from columns, as the package's binding says: each a column of shape [rows, 1]. A null goes in
 * as NaN for numbers and as the empty string for strings, and the graph imputes.
 *
 * @param columns by name: the features that were served, and the columns of the request.
 * @throws FeatureMissingError where null cannot be said in an input's datatype; NoFeaturesError where the binding and the
 *   graph do not fit.
 */
export const graphInputs = (
  model: string,
  bindings: readonly FeatureInput[],
  specs: readonly TensorSpec[],
  columns: ReadonlyMap<string, ReadableColumn>,
  rows: number,
): Tensor[] =>
  specs.map((spec) => {
    const binding = bindings.find(({ input }) => input === spec.name);
    const column = binding === undefined ? undefined : columns.get(binding.feature);
    if (binding === undefined)
      throw new NoFeaturesError(model, `its package binds no feature to the input ${spec.name}.`);
    if (column === undefined) throw new NoFeaturesError(model, `the feature ${binding.feature} was not served.`);
    return {
      name: spec.name,
      datatype: spec.datatype,
      shape: [rows, 1],
      data: columnData(column, spec.datatype, rows),
    };
  });

const columnData = (column: ReadableColumn, datatype: Datatype, rows: number): Uint8Array => {
  if (datatype === "BYTES") {
    const held = column.values.values;
    const strings = held.case === "strings" ? held.value.values : undefined;
    return encodeStrings(
      Array.from({ length: rows }, (_, row) => {
        if (column.isNull(row)) return "";
        if (strings === undefined)
          throw new FeatureMissingError(column.name, row, `${held.case} where strings are read`);
        return strings[row] ?? "";
      }),
    );
  }
  const numbers = numbersOf(column, datatype);
  if (datatype === "FP32" || datatype === "FP64") {
    const data = datatype === "FP32" ? new Float32Array(rows) : new Float64Array(rows);
    for (let row = 0; row < rows; row++) data[row] = column.isNull(row) ? Number.NaN : Number(numbers[row] ?? 0);
    return bytesOf(data);
  }
  if (datatype === "FP16") throw new FeatureMissingError(column.name, 0, "an input of FP16, which no feature fills");
  const data = new Uint8Array(byteCount(datatype, [rows, 1]));
  const view = typedView(datatype, data);
  for (let row = 0; row < rows; row++) {
    if (column.isNull(row)) throw new FeatureMissingError(column.name, row, `null, which ${datatype} cannot say`);
    const number = numbers[row] ?? 0;
    if (view instanceof BigInt64Array || view instanceof BigUint64Array) view[row] = BigInt(number);
    else view[row] = Number(number);
  }
  return data;
};

/** A column's numbers: false and true are 0 and 1, a time is its microseconds. */
const numbersOf = (column: ReadableColumn, datatype: Datatype): ArrayLike<number | bigint | boolean> => {
  const held = column.values.values;
  switch (held.case) {
    case "bools":
    case "int64s":
    case "doubles":
    case "floats":
      return held.value.values;
    case "timestamps":
      return held.value.valuesUs;
    default:
      if (held.case === undefined) return [];
      throw new FeatureMissingError(column.name, 0, `${held.case} where ${datatype} is read`);
  }
};
