import { elementBytes, encodeStrings, Slab, type Tensor, toNumbers } from "@millrace/tensor";
import type { OnnxTensorSpec } from "@millrace/tensor/onnxruntime";
import { layBatch, rowsOf } from "../execution/batch-rows.ts";
import type { ModelInstance } from "../execution/model-instance.ts";

/** Whether the rows of a batch can be joined, and why not. */
export type Joining =
  | { readonly joins: true; readonly probed: boolean }
  | { readonly joins: false; readonly why: string };

const rows = 3;

/**
 * Finds out whether requests to a model can be joined along the first axis: whether the graph leaves the first dimension
 * of everything open, under one name, and whether rows that are run together give what they give alone. The runs warm
 * the model up. A model that cannot be run with made-up inputs is taken at the word of its graph.
 */
export const probeBatching = async (instance: ModelInstance): Promise<Joining> => {
  const why = whyNotOpen([...instance.inputs, ...instance.outputs]);
  if (why !== undefined) return { joins: false, why };
  const single = Array.from({ length: rows }, (_, row) => instance.inputs.map((spec) => madeUp(spec, row)));
  const slab = new Slab();
  const alone: Tensor[][] = [];
  let together: Tensor[];
  try {
    for (const inputs of single) alone.push(await runOnce(instance, slab, [inputs], 1));
    together = await runOnce(instance, slab, single, rows);
  } catch {
    // Made-up inputs may lie outside of what the model can take, such as an index of a table: then they tell nothing.
    return { joins: true, probed: false };
  }
  for (const output of together) {
    if (output.shape[0] !== rows) {
      return { joins: false, why: `${output.name} has ${output.shape[0] ?? "no"} rows for ${rows} rows of input` };
    }
    for (let row = 0; row < rows; row++) {
      const own = alone[row]?.find(({ name }) => name === output.name);
      if (own === undefined || !close(own, rowsOf(output, row, 1))) {
        return { joins: false, why: `${output.name} of a row depends on the other rows of its batch` };
      }
    }
  }
  return { joins: true, probed: true };
};

const whyNotOpen = (specs: readonly OnnxTensorSpec[]): string | undefined => {
  const names = new Set<string>();
  for (const { name, shape, dimensionNames } of specs) {
    if (shape[0] !== -1) return `the first dimension of ${name} is not open`;
    if (dimensionNames[0] !== undefined && dimensionNames[0] !== "") names.add(dimensionNames[0]);
  }
  return names.size > 1 ? `the first dimensions have different names: ${[...names].join(", ")}` : undefined;
};

/** One row of values that differ from row to row, with open dimensions of 1. */
const madeUp = ({ name, datatype, shape }: OnnxTensorSpec, row: number): Tensor => {
  const own = shape.map((dimension, axis) => (axis === 0 || dimension === -1 ? 1 : dimension));
  const count = own.reduce((product, dimension) => product * dimension, 1);
  if (datatype === "BYTES") {
    return { name, datatype, shape: own, data: encodeStrings(Array.from({ length: count }, () => "abc".slice(row))) };
  }
  const data = new Uint8Array(count * elementBytes[datatype]);
  if (datatype === "FP32")
    for (let at = 0; at < count; at++) new DataView(data.buffer).setFloat32(at * 4, value(row, at), true);
  else if (datatype === "FP64")
    for (let at = 0; at < count; at++) new DataView(data.buffer).setFloat64(at * 8, value(row, at), true);
  else for (let at = 0; at < count; at++) data[at * elementBytes[datatype]] = datatype === "FP16" ? 0 : (row + at) % 2;
  return { name, datatype, shape: own, data };
};

/** Any fixed spread of values around 0 does. */
const value = (row: number, at: number): number => Math.sin(1 + row * 7 + at * 3);

const runOnce = async (
  instance: ModelInstance,
  slab: Slab,
  requests: readonly (readonly Tensor[])[],
  rowCount: number,
): Promise<Tensor[]> => {
  const laid = layBatch(slab, requests, rowCount, instance);
  const { unplaced } = await instance.run(slab.memory, laid);
  const placed = laid.places.map(({ name, datatype, shape, byteOffset, byteLength }) => ({
    name,
    datatype,
    shape,
    data: new Uint8Array(slab.memory, byteOffset, byteLength).slice(),
  }));
  return [...placed.filter(({ name }) => !unplaced.some((output) => output.name === name)), ...unplaced];
};

/** Kernels may order sums differently by batch size, so that numbers are compared with a tolerance. */
const close = (a: Tensor, b: Tensor): boolean => {
  if (a.shape.length !== b.shape.length || a.data.length !== b.data.length) return false;
  if (a.datatype === "BYTES" || b.datatype === "BYTES") return Buffer.compare(a.data, b.data) === 0;
  const left = toNumbers(a.datatype, a.data);
  const right = toNumbers(b.datatype, b.data);
  return left.every((number, index) => {
    const other = right[index] ?? Number.NaN;
    return Object.is(number, other) || Math.abs(number - other) <= 1e-5 + 1e-3 * Math.abs(other);
  });
};
