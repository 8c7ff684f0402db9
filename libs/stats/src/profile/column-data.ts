import { Meaning } from "@millrace/contracts/millrace/model/v1/model_package";
import type { Numbers } from "../metrics/scored-rows.ts";

/** A column of values, all rows of it. */
export interface ColumnData {
  readonly name: string;
  /** NUMERIC, PROBABILITY and ESTIMATE are profiled as numbers, CATEGORICAL as categories, EMBEDDING not at all. */
  readonly meaning: Meaning;
  /** Whether it is an output of the model. */
  readonly output?: boolean;
  /** One value a row. NaN is counted as not-a-number unless `nulls` says that the row is null. */
  readonly values: Numbers | readonly (string | null | undefined)[];
  /** 1 where the row is null. */
  readonly nulls?: ArrayLike<number>;
  /** FeatureStatus a row, where it is known. */
  readonly statuses?: ArrayLike<number>;
}

/** Whether a column of this meaning is profiled as numbers. */
export const isNumeric = (meaning: Meaning): boolean =>
  meaning === Meaning.NUMERIC || meaning === Meaning.PROBABILITY || meaning === Meaning.ESTIMATE;
