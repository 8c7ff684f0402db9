import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  type Column,
  type ColumnValues,
  FeatureStatus,
  type ValueSchema,
} from "@millrace/contracts/millrace/feature/v1/column";
import type { FeatureColumn } from "@millrace/contracts/millrace/feature/v1/feature_service";
import { PredictRequestInvalidError } from "./predict-errors.ts";

/** A column whose rows can be read: a feature that was served, or a column of the request. */
export interface ReadableColumn {
  readonly name: string;
  readonly values: ColumnValues;
  /** Whether a row has no value. */
  isNull(row: number): boolean;
  /** What is known of a row's value; unspecified for columns of the request. */
  status(row: number): FeatureStatus;
  /** Event time of the newest fact behind a row's value in µs; undefined where there is none. */
  eventTimeUs(row: number): bigint | undefined;
}

/** Number of rows of a column's values. */
export const rowCount = (values: ColumnValues | undefined): number => {
  const held = values?.values;
  switch (held?.case) {
    case "timestamps":
      return held.value.valuesUs.length;
    case "lists":
      return Math.max(0, held.value.offsets.length - 1);
    case undefined:
      return 0;
    default:
      return held?.value.values.length ?? 0;
  }
};

/** @throws PredictRequestInvalidError where the column has no values, or another number of nulls. */
export const requestColumn = (column: Column, path: string): ReadableColumn => {
  const { name, values, nulls } = column;
  if (values?.values.case === undefined) throw new PredictRequestInvalidError(`${path}.values`, "values", "none");
  const rows = rowCount(values);
  if (nulls.length !== 0 && nulls.length !== rows) {
    throw new PredictRequestInvalidError(`${path}.nulls`, `one byte a row (${rows})`, `${nulls.length}`);
  }
  return {
    name,
    values,
    isNull: (row) => nulls.length > 0 && nulls[row] !== 0,
    status: () => FeatureStatus.FEATURE_STATUS_UNSPECIFIED,
    eventTimeUs: () => undefined,
  };
};

/** @param neverNull whether the values hold where nothing was found, as those of a COUNT do. */
export const featureColumn = (
  { name, values, statuses, eventTimesUs }: FeatureColumn,
  neverNull: boolean,
): ReadableColumn => ({
  name,
  values: values ?? ({ $typeName: "millrace.feature.v1.ColumnValues", values: { case: undefined } } as ColumnValues),
  isNull: (row) => !neverNull && statuses[row] !== FeatureStatus.PRESENT,
  status: (row) => (statuses[row] ?? FeatureStatus.FEATURE_STATUS_UNSPECIFIED) as FeatureStatus,
  eventTimeUs: (row) => {
    const timeUs = eventTimesUs[row];
    return timeUs === undefined || timeUs === 0n ? undefined : timeUs;
  },
});

/** One row of a column as a value of its own, as the prediction log has it; undefined where it is null. */
export const valueAt = (column: ReadableColumn, row: number): MessageInitShape<typeof ValueSchema> | undefined => {
  if (column.isNull(row)) return undefined;
  const held = column.values.values;
  switch (held.case) {
    case "bools":
      return { value: { case: "bool", value: held.value.values[row] ?? false } };
    case "int64s":
      return { value: { case: "int64", value: held.value.values[row] ?? 0n } };
    case "doubles":
      return { value: { case: "double", value: held.value.values[row] ?? 0 } };
    case "floats":
      return { value: { case: "float", value: held.value.values[row] ?? 0 } };
    case "strings":
      return { value: { case: "string", value: held.value.values[row] ?? "" } };
    case "bytes":
      return { value: { case: "bytes", value: held.value.values[row] ?? new Uint8Array() } };
    case "timestamps":
      return { value: { case: "timestampUs", value: held.value.valuesUs[row] ?? 0n } };
    case "lists":
      return { value: { case: "list", value: elementsAt(held.value, row) } };
    case undefined:
      return undefined;
  }
};

const elementsAt = ({ offsets, elements }: { offsets: number[]; elements?: ColumnValues | undefined }, row: number) => {
  const [from = 0, to = 0] = [offsets[row], offsets[row + 1]];
  const held = elements?.values;
  if (held?.case === undefined || held.case === "lists") return {};
  if (held.case === "timestamps") {
    return { values: { case: "timestamps" as const, value: { valuesUs: held.value.valuesUs.slice(from, to) } } };
  }
  return {
    values: { case: held.case, value: { values: held.value.values.slice(from, to) } },
  } as MessageInitShape<typeof import("@millrace/contracts/millrace/feature/v1/column").ColumnValuesSchema>;
};
