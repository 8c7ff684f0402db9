import {
  type Datatype,
  decodeBytes,
  elementBytes,
  elementCount,
  ModelFailedError,
  type Slab,
  type Tensor,
  type TensorSpec,
} from "@millrace/tensor";
import type { PlacedTensor, UnplacedTensor } from "./worker-messages.ts";

/** Where the tensors of a batch lie in the slab. */
export interface LaidBatch {
  readonly inputs: readonly PlacedTensor[];
  /** The outputs whose size is known before the run. */
  readonly places: readonly PlacedTensor[];
  /** The rows, where everything above follows from them and the model: see `layRows`. */
  readonly rows: number | undefined;
}

/**
 * Joins requests' inputs along the first axis, straight into the slab: alignment, batching and the hand-over to the
 * worker are this one copy.
 *
 *     request 1  x [2, 3]  ─┐                 slab:  │ x: r1 r1 r2 │ y (to be filled) │
 *     request 2  x [1, 3]  ─┴─ one copy each ──────▶   [3, 3]        [3, 1]
 *
 * @param requests inputs of each request, in the model's order, equal in all but the first dimension.
 * @param rows the sum of the first dimensions; undefined for a single request of a model that is not batched.
 */
export const layBatch = (
  slab: Slab,
  requests: readonly (readonly Tensor[])[],
  rows: number | undefined,
  model: ModelTensors,
): LaidBatch => {
  const [first] = requests;
  if (first === undefined) throw new RangeError("A batch has at least one request.");
  const followsFromRows = rows !== undefined && hasFixedRows(model);
  const laid = followsFromRows
    ? layRows(slab, model, rows)
    : lay(
        slab,
        first.map(({ name, datatype, shape }, index) => {
          let bytes = 0;
          for (const tensors of requests) bytes += tensors[index]?.data.byteLength ?? 0;
          return { name, datatype, shape: rows === undefined ? shape : [rows, ...shape.slice(1)], bytes };
        }),
        placeSizes(model, rows),
      );
  for (const [index, { byteOffset, byteLength }] of laid.inputs.entries()) {
    const range = new Uint8Array(slab.memory, byteOffset, byteLength);
    let at = 0;
    for (const tensors of requests) {
      const data = tensors[index]?.data;
      if (data === undefined) continue;
      range.set(data, at);
      at += data.byteLength;
    }
  }
  return { ...laid, rows: followsFromRows ? rows : undefined };
};

/**
 * Where a batch of so many rows lies, for a model whose sizes follow from the rows (`hasFixedRows`). Both threads call
 * it with slabs over the same memory, and find the same places.
 */
export const layRows = (slab: Slab, model: ModelTensors, rows: number): Omit<LaidBatch, "rows"> =>
  lay(
    slab,
    model.inputs.map(({ name, datatype, shape }) => sized(name, datatype, [rows, ...shape.slice(1)])),
    placeSizes(model, rows),
  );

/** What a model takes and gives. */
export interface ModelTensors {
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
}

/** Whether each row of each input has a fixed size. */
const hasFixedRows = ({ inputs }: ModelTensors): boolean =>
  inputs.every(({ datatype, shape }) => datatype !== "BYTES" && shape[0] === -1 && !shape.includes(-1, 1));

interface SizedTensor extends Omit<PlacedTensor, "byteOffset" | "byteLength"> {
  readonly bytes: number;
}

const sized = (name: string, datatype: Datatype, shape: readonly number[]): SizedTensor => ({
  name,
  datatype,
  shape,
  bytes: elementCount(shape) * elementBytes[datatype],
});

const placeSizes = ({ outputs }: ModelTensors, rows: number | undefined): SizedTensor[] =>
  outputs.flatMap((spec) => {
    const shape = placeShape(spec, rows);
    return shape === undefined ? [] : sized(spec.name, spec.datatype, shape);
  });

const lay = (slab: Slab, inputs: readonly SizedTensor[], places: readonly SizedTensor[]): Omit<LaidBatch, "rows"> => {
  let total = 0;
  for (const { bytes } of inputs) total += bytes;
  for (const { bytes } of places) total += bytes;
  slab.clear(total, inputs.length + places.length);
  const place = ({ name, datatype, shape, bytes }: SizedTensor): PlacedTensor => {
    const { byteOffset, byteLength } = slab.lay(bytes);
    return { name, datatype, shape, byteOffset, byteLength };
  };
  return { inputs: inputs.map(place), places: places.map(place) };
};

/** The shape that an output will have, where that is known before the run. */
const placeShape = (spec: TensorSpec, rows: number | undefined): readonly number[] | undefined => {
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

/** A run's outputs in the model's order: out of the slab, and those that came in memory of their own. */
export const outputsOf = (
  { outputs }: ModelTensors,
  memory: SharedArrayBuffer,
  places: readonly PlacedTensor[],
  unplaced: readonly UnplacedTensor[],
): readonly Tensor[] =>
  outputs.map(({ name }): Tensor => {
    const own = unplaced.find((output) => output.name === name);
    if (own !== undefined) return own;
    const place = places.find((output) => output.name === name);
    if (place === undefined) throw new ModelFailedError(`The model gave no output ${name}.`);
    const { datatype, shape, byteOffset, byteLength } = place;
    return { name, datatype, shape, data: new Uint8Array(memory, byteOffset, byteLength) };
  });
