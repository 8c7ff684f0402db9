import { Slab } from "@millrace/tensor";
import * as tf from "@tensorflow/tfjs";
import type { PreparedRows } from "../preparation/prepare-rows.ts";

/** Lays batches of prepared rows out in one slab, which is kept from batch to batch, and hands them to the backend. */
export class BatchTensors {
  readonly #prepared: PreparedRows;
  readonly #slab = new Slab();

  constructor(prepared: PreparedRows) {
    this.#prepared = prepared;
  }

  /**
   * The tensors of `count` rows, in the order of the network's inputs; whoever calls disposes of them.
   * @param rowAt the row at each place of the batch.
   */
  take(count: number, rowAt: (place: number) => number): tf.Tensor[] {
    const { columns, matrix, indices } = this.#prepared;
    this.#slab.clear(count * (columns + indices.length) * 4, indices.length + 1);
    const range = this.#slab.lay(count * columns * 4);
    const batch = new Float32Array(range.buffer, range.byteOffset, count * columns);
    const picked = indices.map(() => {
      const place = this.#slab.lay(count * 4);
      return new Int32Array(place.buffer, place.byteOffset, count);
    });
    for (let place = 0; place < count; place++) {
      const row = rowAt(place);
      const from = row * columns;
      for (let column = 0; column < columns; column++) {
        batch[place * columns + column] = matrix[from + column] as number;
      }
      for (let embedding = 0; embedding < picked.length; embedding++) {
        (picked[embedding] as Int32Array)[place] = (indices[embedding] as Int32Array)[row] as number;
      }
    }
    // A backend may keep the array that it is given until it first computes with it, and the slab is filled anew before.
    const tensors: tf.Tensor[] = columns > 0 ? [tf.tensor2d(batch.slice(), [count, columns])] : [];
    return [...tensors, ...picked.map((index) => tf.tensor2d(index.slice(), [count, 1], "int32"))];
  }
}
