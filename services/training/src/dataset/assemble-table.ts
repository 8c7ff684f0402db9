import type { ValueType } from "@millrace/contracts/millrace/feature/v1/column";
import { numberAt } from "../preparation/fit-preparation.ts";
import { DatasetUnusableError } from "./dataset-unusable-error.ts";
import type { ColumnValues, DatasetOrigin, TrainingTable } from "./training-table.ts";

/** A column that was read, and what it is for. */
export interface NamedColumn<Role extends string> {
  readonly role: Role;
  readonly name: string;
  readonly type: ValueType;
  readonly data: ColumnValues;
}

/**
 * Puts the columns of a dataset in their places. Where the origin does not know its newest event, it is that of the rows.
 * @throws DatasetUnusableError for no rows, and for an event time, a known time or a weight that is null.
 */
export const assembleTable = (
  columns: readonly NamedColumn<"eventTime" | "labelKnownAt" | "label" | "weight" | "splitKey" | "feature" | "slice">[],
  origin: DatasetOrigin,
): TrainingTable => {
  const one = (role: string): ColumnValues | undefined => columns.find((column) => column.role === role)?.data;
  const eventTimesUs = times("dataset.examples.event_time", one("eventTime"));
  const label = one("label");
  const rows = eventTimesUs?.length ?? 0;
  if (eventTimesUs === undefined || label === undefined || rows === 0) {
    throw new DatasetUnusableError("dataset.examples", "rows", "none");
  }
  const at = numberAt(label);
  const splitKeys = one("splitKey");
  return {
    rows,
    eventTimesUs,
    labelKnownAtUs: times("dataset.examples.label_known_at", one("labelKnownAt")),
    labels: Float64Array.from({ length: rows }, (_, row) => at(row)),
    weights: weightsOf(one("weight")),
    splitKeys: splitKeys && textsOf(splitKeys),
    features: columns.filter(({ role }) => role === "feature").map(({ name, type, data }) => ({ name, type, data })),
    slices: new Map(columns.filter(({ role }) => role === "slice").map(({ name, data }) => [name, textsOf(data)])),
    origin: { ...origin, newestEventUs: origin.newestEventUs || eventTimesUs.reduce((a, b) => (a > b ? a : b)) },
  };
};

const times = (field: string, data: ColumnValues | undefined): BigInt64Array | undefined => {
  if (data === undefined) {
    return undefined;
  }
  if (data.kind !== "integer" || data.nulls !== undefined) {
    throw new DatasetUnusableError(field, "a time in every row", "null in some");
  }
  return data.values;
};

const weightsOf = (data: ColumnValues | undefined): Float64Array | undefined => {
  if (data === undefined) {
    return undefined;
  }
  const at = numberAt(data);
  const weights = Float64Array.from({ length: data.values.length }, (_, row) => at(row));
  if (!weights.every((weight) => weight >= 0 && Number.isFinite(weight))) {
    throw new DatasetUnusableError(
      "dataset.examples.weight",
      "a weight of 0 or more in every row",
      "another value or null",
    );
  }
  return weights;
};

const textsOf = (data: ColumnValues): readonly string[] =>
  data.kind === "string"
    ? data.values
    : Array.from({ length: data.values.length }, (_, row) =>
        data.kind !== "number" && data.nulls?.[row] === 1 ? "" : String(data.values[row]),
      );
