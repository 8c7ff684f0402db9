import type { NetworkInput } from "@millrace/onnx";

/** What a trainer has made, whichever it was. */
export interface TrainedModel {
  /** ONNX: raw features in, and one number a row as the first output. */
  readonly model: Uint8Array;
  /** The features that it reads, in the order of its inputs. */
  readonly inputs: readonly NetworkInput[];
  /** The first output's name. */
  readonly outputName: string;
  /** For the lineage: what has trained it. */
  readonly trainer: string;
  /** Compares the model's answers with those of what was trained, where that is at hand. @throws ExportMismatchError */
  check(rows: Uint32Array, scores: Float32Array): void;
}
