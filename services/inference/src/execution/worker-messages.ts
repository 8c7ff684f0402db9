import type { MessagePort } from "node:worker_threads";
import { type FieldViolation, MillraceError, type MillraceErrorCode, type Reason } from "@millrace/errors";
import type { Datatype } from "@millrace/tensor";
import type { OnnxTensorSpec, OnnxTuning } from "@millrace/tensor/onnxruntime";

/** A tensor that lies in the slab: what a worker needs to see it. */
export interface PlacedTensor {
  readonly name: string;
  readonly datatype: Datatype;
  readonly shape: readonly number[];
  readonly byteOffset: number;
  readonly byteLength: number;
}

/** An output in memory of its own, because its size was not known before the run. */
export interface UnplacedTensor {
  readonly name: string;
  readonly datatype: Datatype;
  readonly shape: readonly number[];
  readonly data: Uint8Array;
}

/** One run: its inputs are read from the slab, and outputs of known size are written there. */
export interface RunMessage {
  readonly kind: "run";
  readonly memory: SharedArrayBuffer;
  readonly inputs: readonly PlacedTensor[];
  readonly places: readonly PlacedTensor[];
}

export type ToWorker = RunMessage | { readonly kind: "retire" };

/** What the worker is started with. */
export interface WorkerStart {
  readonly model: Uint8Array;
  readonly externalData: ReadonlyMap<string, Uint8Array> | undefined;
  readonly externalDataFolder: string | undefined;
  readonly intraOpThreads: number;
  readonly executionProviders: readonly string[] | undefined;
  readonly tuning: OnnxTuning | undefined;
  /** The memory of `Turns`. */
  readonly turns: SharedArrayBuffer;
  /** Carries messages both ways. Each is there before the turn changes, and is taken when it has. */
  readonly port: MessagePort;
}

export type FromWorker =
  | {
      readonly kind: "loaded";
      readonly inputs: readonly OnnxTensorSpec[];
      readonly outputs: readonly OnnxTensorSpec[];
      readonly executionProvider: { readonly name: string; readonly reason: string };
    }
  | { readonly kind: "refused"; readonly error: ErrorMessage }
  | { readonly kind: "ran"; readonly unplaced: readonly UnplacedTensor[] }
  | { readonly kind: "failed"; readonly error: ErrorMessage };

/** An error as it crosses threads: structured clones lose a class and its fields. */
export interface ErrorMessage {
  readonly code: MillraceErrorCode;
  readonly reason: Reason;
  readonly message: string;
  readonly violations: readonly FieldViolation[];
  readonly cause: string | undefined;
}

export const packError = (error: MillraceError): ErrorMessage => ({
  code: error.code,
  reason: error.reason,
  message: error.message,
  violations: error.details.violations ?? [],
  cause: error.details.cause === undefined ? undefined : String(error.details.cause),
});

export const unpackError = ({ code, reason, message, violations, cause }: ErrorMessage): MillraceError =>
  new MillraceError(code, reason, message, { violations, cause });
