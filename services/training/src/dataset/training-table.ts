import type { ValueType } from "@millrace/contracts/millrace/feature/v1/column";

/** The values of a column. A null is NaN, the empty string, or marked in `nulls` where the type has no value for it. */
export type ColumnValues =
  | { readonly kind: "number"; readonly values: Float64Array }
  | { readonly kind: "integer"; readonly values: BigInt64Array; readonly nulls: Uint8Array | undefined }
  | { readonly kind: "boolean"; readonly values: Uint8Array; readonly nulls: Uint8Array | undefined }
  | { readonly kind: "string"; readonly values: readonly string[] };

/** A feature as the dataset has it, by the name under which the model reads it. */
export interface FeatureColumn {
  readonly name: string;
  readonly type: ValueType;
  readonly data: ColumnValues;
}

/** What the dataset says of its origin. */
export interface DatasetOrigin {
  /** The same data and definitions give the same id. */
  readonly snapshotId: string;
  readonly newestEventUs: bigint;
  readonly definitionsHash: string;
  readonly definitionsRevision: string;
  readonly featureServiceVersion: string;
  readonly schemaHash: string;
}

/** The rows to learn from, in the order of their event time. */
export interface TrainingTable {
  readonly rows: number;
  readonly eventTimesUs: BigInt64Array;
  /** When the label was known; undefined where the spec does not say. */
  readonly labelKnownAtUs: BigInt64Array | undefined;
  /** NaN where it is null. */
  readonly labels: Float64Array;
  readonly weights: Float64Array | undefined;
  /** The value that a split by hash goes by. */
  readonly splitKeys: readonly string[] | undefined;
  readonly features: readonly FeatureColumn[];
  /** Values of the slice columns, by name. */
  readonly slices: ReadonlyMap<string, readonly string[]>;
  readonly origin: DatasetOrigin;
}
