import { FeatureStatus } from "@millrace/contracts/millrace/feature/v1/column";
import type { ServedColumn } from "@millrace/feature-definition/stream";

/** A feature of an answer. */
export interface AnsweredFeature {
  readonly column: ServedColumn;
  /** A COUNT keeps its 0 where nothing was found; everything else that is not present is null. */
  readonly isNeverNull: boolean;
}

/** Whether a row's value is null in Feast's answers. */
export const isNull = ({ column, isNeverNull }: AnsweredFeature, row: number): boolean =>
  !isNeverNull && column.status(row) !== FeatureStatus.PRESENT;

/** Ours mean the same and have the same numbers; what only we have is INVALID. */
export const fieldStatus = (status: number): number => (status <= FeatureStatus.OUTSIDE_MAX_AGE ? status : 0);
