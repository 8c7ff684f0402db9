/** What one-hot encoding and embeddings know: the categories that training saw, each once. All others share one place. */
export type Categories = readonly string[] | readonly bigint[];

/**
 * How an input becomes what the network reads, with all that was learned from the training split. A null of a number is
 * NaN (infinities are treated like it), of a string the empty string.
 */
export type FittedPreparation =
  /**
   * (x - mean) / deviation; where log1p is set, of sign(x) · log(1 + |x|). A null becomes the mean, that is 0.
   * One column.
   */
  | { readonly kind: "standardize"; readonly log1p: boolean; readonly mean: number; readonly deviation: number }
  /** Sine and cosine of 2π x / period: two columns, both 0 for null. */
  | { readonly kind: "cyclic"; readonly period: number }
  /** One column a category, and a last one for all other values and null. */
  | { readonly kind: "one-hot"; readonly categories: Categories }
  /** The index of the category, or one more than the last; the network holds the table of vectors. */
  | { readonly kind: "embedding"; readonly categories: Categories };

/** The datatypes that a raw feature may have. */
export type InputDatatype = "FP32" | "FP64" | "INT64" | "BOOL" | "BYTES";

/** A raw input of the graph, of shape [rows, 1]. */
export interface NetworkInput {
  readonly name: string;
  readonly datatype: InputDatatype;
  readonly preparation: FittedPreparation;
}

/** Columns that a preparation gives to the network's matrix; 0 for an embedding, which has an input of its own. */
export const preparedColumns = (preparation: FittedPreparation): number => {
  switch (preparation.kind) {
    case "standardize":
      return 1;
    case "cyclic":
      return 2;
    case "one-hot":
      return preparation.categories.length + 1;
    case "embedding":
      return 0;
  }
};
