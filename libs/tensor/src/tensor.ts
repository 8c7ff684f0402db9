import { type Datatype, elementBytes } from "./datatype.ts";

/**
 * A tensor as it lies in memory: row-major, little-endian, without padding.
 *
 * `data` may be a view at any byte offset, of an ArrayBuffer or a SharedArrayBuffer. Elements of BYTES are each a 4-byte
 * little-endian length and then their bytes. Nothing here copies: a holder of a tensor must not change `data` while
 * somebody else reads it.
 */
export interface Tensor {
  readonly name: string;
  readonly datatype: Datatype;
  /** Each dimension 0 or more; an empty shape is a scalar of one element. */
  readonly shape: readonly number[];
  readonly data: Uint8Array;
}

/** What a model says of an input or an output. */
export interface TensorSpec {
  readonly name: string;
  readonly datatype: Datatype;
  /** -1 is any size. */
  readonly shape: readonly number[];
}

/** Number of elements of a shape without unknown dimensions; 1 for a scalar. */
export const elementCount = (shape: readonly number[]): number => {
  let count = 1;
  for (const dimension of shape) count *= dimension;
  return count;
};

/** Bytes of a tensor of fixed-size elements. BYTES has no fixed size: the answer would be 0. */
export const byteCount = (datatype: Datatype, shape: readonly number[]): number =>
  elementCount(shape) * elementBytes[datatype];
