import { elementCount, encodeStrings, type Tensor, TensorInvalidError, typedView } from "@millrace/tensor";

/**
 * The classification extension: the highest values of an output in place of all of them, each as `value:index` or
 * `value:index:label`, the highest first. Equal values keep their order, and what is no number comes last.
 *
 * @param classes most to name of each row.
 * @param labels the names of the classes, by index; those without one are named by their index alone.
 * @param batched whether each row of the first dimension is classified for itself; else the whole tensor is.
 * @returns BYTES of the shape [rows, classes], or [classes].
 * @throws TensorInvalidError where the output has no numbers to compare.
 */
export const topClasses = (output: Tensor, classes: number, labels: readonly string[], batched: boolean): Tensor => {
  const { name, datatype, shape, data } = output;
  if (datatype === "BYTES" || datatype === "BOOL" || datatype === "FP16") {
    throw new TensorInvalidError({
      field: `outputs.${name}.parameters.classification`,
      expected: "an output of integers, FP32 or FP64",
      got: datatype,
    });
  }
  const byRow = batched && shape.length > 0;
  const rows = byRow ? (shape[0] ?? 0) : 1;
  const width = elementCount(byRow ? shape.slice(1) : shape);
  const named = Math.min(classes, width);
  const fractional = datatype === "FP32" || datatype === "FP64";
  const values = typedView(datatype, data);
  const texts: string[] = [];
  for (let row = 0; row < rows; row++) {
    const own = values.subarray(row * width, (row + 1) * width) as ArrayLike<number | bigint>;
    for (const index of highest(own, named)) {
      const value = own[index] ?? 0;
      const label = labels[index];
      texts.push(`${fractional ? fixed(Number(value)) : value}:${index}${label === undefined ? "" : `:${label}`}`);
    }
  }
  return { name, datatype: "BYTES", shape: byRow ? [rows, named] : [named], data: encodeStrings(texts) };
};

const highest = (values: ArrayLike<number | bigint>, count: number): number[] => {
  const order = Array.from(values, (_, index) => index);
  order.sort((a, b) => {
    const [left, right] = [values[a] ?? 0, values[b] ?? 0];
    if (isLost(left) || isLost(right)) return Number(isLost(left)) - Number(isLost(right)) || a - b;
    return left < right ? 1 : left > right ? -1 : a - b;
  });
  return order.slice(0, count);
};

const isLost = (value: number | bigint): boolean => typeof value === "number" && Number.isNaN(value);

/** As C's `%f`, which the protocol's servers print: six places, never an exponent. */
const fixed = (value: number): string => {
  if (Number.isNaN(value)) return "nan";
  if (!Number.isFinite(value)) return value > 0 ? "inf" : "-inf";
  return Math.abs(value) < 1e21 ? value.toFixed(6) : `${BigInt(value)}.000000`;
};
