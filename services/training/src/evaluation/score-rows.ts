import { setImmediate as turn } from "node:timers/promises";
import type { InputDatatype } from "@millrace/onnx";
import { encodeStrings, Slab, type Tensor, typedView } from "@millrace/tensor";
import { OnnxSession } from "@millrace/tensor/onnxruntime";
import type { ColumnValues, FeatureColumn } from "../dataset/training-table.ts";
import { numberAt } from "../preparation/fit-preparation.ts";

const batchRows = 8192;

/** An input of the model and the column that fills it. */
export interface ScoredInput {
  readonly name: string;
  readonly datatype: InputDatatype;
  readonly column: FeatureColumn;
}

/** A model in onnxruntime that reads feature columns. */
export class PackageModel {
  readonly #session: OnnxSession;
  readonly #inputs: readonly ScoredInput[];
  readonly #slab = new Slab();

  private constructor(session: OnnxSession, inputs: readonly ScoredInput[]) {
    this.#session = session;
    this.#inputs = inputs;
  }

  /** Opens the very bytes of a package. @param inputs one for each input of the model. */
  static async open(model: Uint8Array, inputs: readonly ScoredInput[]): Promise<PackageModel> {
    return new PackageModel(await OnnxSession.create(model, { intraOpThreads: 2 }), inputs);
  }

  /**
   * The model's first output for rows of its columns, one number a row.
   * @param moved puts another row's value into one input: row `moved.rows[i]` for the row at place i. For importance.
   */
  async score(
    rows: Uint32Array,
    signal: AbortSignal,
    moved?: { readonly input: string; readonly rows: Uint32Array },
  ): Promise<Float32Array> {
    const scores = new Float32Array(rows.length);
    for (let from = 0; from < rows.length; from += batchRows) {
      signal.throwIfAborted();
      const to = Math.min(from + batchRows, rows.length);
      const [output] = await this.#session.run(
        this.tensors(rows.subarray(from, to), moved && { ...moved, rows: moved.rows.subarray(from, to) }),
      );
      if (output === undefined || output.datatype !== "FP32" || output.shape[1] !== 1) {
        throw new TypeError("The model's first output must be FP32 of shape [rows, 1].");
      }
      scores.set(typedView("FP32", output.data) as Float32Array, from);
      await turn();
    }
    return scores;
  }

  /** The input tensors of some rows. They lie in memory that the next call fills anew. */
  tensors(rows: Uint32Array, moved?: { readonly input: string; readonly rows: Uint32Array }): Tensor[] {
    this.#slab.clear(rows.length * 8 * this.#inputs.length, this.#inputs.length);
    return this.#inputs.map(({ name, datatype, column }) => {
      const from = moved?.input === name ? moved.rows : rows;
      return { name, datatype, shape: [rows.length, 1], data: this.#lay(datatype, column.data, from) };
    });
  }

  async close(): Promise<void> {
    await this.#session.close();
  }

  #lay(datatype: InputDatatype, data: ColumnValues, rows: Uint32Array): Uint8Array {
    if (datatype === "BYTES") {
      return encodeStrings(Array.from(rows, (row) => (data.kind === "string" ? (data.values[row] ?? "") : "")));
    }
    const range = this.#slab.lay(rows.length * { BOOL: 1, FP32: 4, FP64: 8, INT64: 8 }[datatype]);
    const view = typedView(datatype, range);
    if (view instanceof BigInt64Array) {
      const number = numberAt(data);
      const integerAt = (row: number): bigint =>
        data.kind === "integer" ? (data.values[row] as bigint) : BigInt(Math.trunc(number(row) || 0));
      for (let place = 0; place < rows.length; place++) {
        view[place] = integerAt(rows[place] as number);
      }
      return range;
    }
    const at = numberAt(data);
    for (let place = 0; place < rows.length; place++) {
      view[place] = at(rows[place] as number);
    }
    return range;
  }
}
