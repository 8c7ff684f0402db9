import { decodeBytes, elementBytes, elementCount, type Slab, type Tensor } from "@millrace/tensor";
import type { OnnxTensorSpec } from "@millrace/tensor/onnxruntime";
import type { PlacedTensor } from "./worker-messages.ts";

/**
 * Joins requests' inputs along the first axis, straight into the slab: alignment, batching and the hand-over to the
 * worker are this one copy.
 *
 *     request 1  x [2, 3]  ─┐                 slab:  │ x: r1 r1 r2 │ y (to be filled) │
 *     request 2  x [1, 3]  ─┴─ one copy each ──────▶   [3, 3]        [3, 1]
 *
 * @param requests inputs of each request, in the model's order, equal in all but the first dimension.
 * @param rows the sum of the first dimensions; undefined for a single request of a model that is not batched.
 * @param outputs the model's outputs: those whose size follows from `rows` get a place in the slab.
 */
export const layBatch = (
  slab: Slab,
  requests: readonly (readonly Tensor[])[],
  rows: number | undefined,
  outputs: readonly OnnxTensorSpec[],
): { readonly inputs: readonly PlacedTensor[]; readonly places: readonly PlacedTensor[] } => {
  const [first] = requests;
  if (first === undefined) throw new RangeError("A batch has at least one request.");
  const inputBytes = first.map((_, index) => {
    let bytes = 0;
    for (const tensors of requests) bytes += tensors[index]?.data.byteLength ?? 0;
    return bytes;
  });
  const placed = outputs.flatMap((spec) => {
    const shape = placeShape(spec, rows);
    return shape === undefined ? [] : [{ spec, shape, bytes: elementCount(shape) * elementBytes[spec.datatype] }];
  });
  let total = 0;
  for (const bytes of inputBytes) total += bytes;
  for (const { bytes } of placed) total += bytes;
  slab.clear(total, first.length + placed.length);
  const inputs = first.map(({ name, datatype, shape }, index) => {
    const range = slab.lay(inputBytes[index] ?? 0);
    let at = 0;
    for (const tensors of requests) {
      const data = tensors[index]?.data;
      if (data === undefined) continue;
      range.set(data, at);
      at += data.byteLength;
    }
    const { byteOffset, byteLength } = range;
    return { name, datatype, shape: rows === undefined ? shape : [rows, ...shape.slice(1)], byteOffset, byteLength };
  });
  const places = placed.map(({ spec: { name, datatype }, shape, bytes }) => {
    const { byteOffset, byteLength } = slab.lay(bytes);
    return { name, datatype, shape, byteOffset, byteLength };
  });
  return { inputs, places };
};

/** The shape that an output will have, where that is known before the run. */
const placeShape = (spec: OnnxTensorSpec, rows: number | undefined): readonly number[] | undefined => {
  if (spec.datatype === "BYTES") return undefined;
  if (rows === undefined) return spec.shape.includes(-1) || spec.shape.length === 0 ? undefined : spec.shape;
  return spec.shape.slice(1).includes(-1) ? undefined : [rows, ...spec.shape.slice(1)];
};

/**
 * Splits an output along the first axis: the rows from `first`, as a view of the same memory.
 * @throws RangeError where the output does not have that many rows.
 */
export const rowsOf = (output: Tensor, first: number, rows: number): Tensor => {
  const [all = 0, ...rest] = output.shape;
  if (first + rows > all) throw new RangeError(`${output.name} has ${all} rows, not ${first + rows}.`);
  const shape = [rows, ...rest];
  if (first === 0 && rows === all) return output;
  const perRow = elementCount(rest);
  const { name, datatype, data } = output;
  if (datatype !== "BYTES") {
    const rowBytes = perRow * elementBytes[datatype];
    return { name, datatype, shape, data: data.subarray(first * rowBytes, (first + rows) * rowBytes) };
  }
  const elements = decodeBytes(name, data, elementCount(output.shape));
  const before = bytesUpTo(elements, first * perRow);
  return { name, datatype, shape, data: data.subarray(before, bytesUpTo(elements, (first + rows) * perRow)) };
};

const bytesUpTo = (elements: readonly Uint8Array[], count: number): number => {
  let bytes = 0;
  for (let index = 0; index < count; index++) bytes += 4 + (elements[index]?.length ?? 0);
  return bytes;
};
