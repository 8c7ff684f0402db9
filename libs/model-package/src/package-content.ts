import type { Baseline, Golden, ModelPackage } from "@millrace/contracts/millrace/model/v1/model_package";

/** What a package is made of. Each part is one layer of the artifact, so that a reader fetches only what it needs. */
export interface PackageContent {
  /** `millrace.json`: signature, features, lineage, evaluation. */
  readonly manifest: ModelPackage;
  /** `model.onnx`: the serialised ONNX ModelProto. */
  readonly model: Uint8Array;
  /**
   * Files with weights of the model (ONNX external data), for models above 2 GiB: by their path relative to
   * `model.onnx`, as the model names them.
   */
  readonly externalData?: ReadonlyMap<string, Uint8Array> | undefined;
  /** `baseline.binpb`: the training profile, for monitoring. */
  readonly baseline?: Baseline | undefined;
  /** `golden.binpb`: inputs and outputs that the model must reproduce before it serves. */
  readonly golden?: Golden | undefined;
  /** `README.md`: the model card, for people. */
  readonly card?: string | undefined;
}

export type PackagePart = "model" | "externalData" | "baseline" | "golden" | "card";

/** Largest size of each file in bytes. A model's is what one protobuf message can hold. */
export const sizeLimits = {
  manifest: 4 * 1024 ** 2,
  config: 1024 ** 2,
  "model.onnx": 2 * 1024 ** 3 - 1,
  "millrace.json": 16 * 1024 ** 2,
  "baseline.binpb": 256 * 1024 ** 2,
  "golden.binpb": 256 * 1024 ** 2,
  "README.md": 4 * 1024 ** 2,
} as const;

export type PackageFile = Exclude<keyof typeof sizeLimits, "manifest" | "config">;

/** Largest size in bytes of a file with weights, and how many of them a package may have. */
export const externalDataLimits = { fileBytes: 64 * 1024 ** 3, files: 4096 } as const;
