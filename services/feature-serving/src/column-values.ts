import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type Column,
  type ColumnValues,
  ColumnValuesSchema,
  ValueType,
} from "@millrace/contracts/millrace/feature/v1/column";
import { MillraceError, Reason } from "@millrace/errors";
import { type CompiledField, elementType, type Scalar } from "@millrace/feature-definition";
import type { ServedColumn } from "@millrace/feature-definition/stream";

/** Thrown when a column of a request is missing, unknown, of another type or of another length. */
export class ColumnInvalidError extends MillraceError {
  constructor(field: string, expected: string, got: string) {
    super("INVALID_ARGUMENT", Reason.COLUMN_INVALID, `${field}: expected ${expected}, got ${got}.`, {
      violations: [{ field, expected, got }],
    });
  }
}

const caseOfType: Readonly<Record<number, ColumnValues["values"]["case"]>> = {
  [ValueType.BOOL]: "bools",
  [ValueType.INT64]: "int64s",
  [ValueType.DOUBLE]: "doubles",
  [ValueType.FLOAT]: "floats",
  [ValueType.STRING]: "strings",
  [ValueType.BYTES]: "bytes",
  [ValueType.TIMESTAMP]: "timestamps",
};

/**
 * The values of a request's column, one a row, in the form of the declared type.
 * @param path where the column stands in the request, for the error. @throws ColumnInvalidError
 */
export function readColumn(column: Column, field: CompiledField, path: string): readonly Scalar[] {
  const values = scalarsOf(column.values, field.type, `${path}.values`, field.name);
  const { length } = field;
  values.forEach((value, row) => {
    if (length === undefined || !Array.isArray(value) || value.length === length || column.nulls[row] === 1) return;
    throw new ColumnInvalidError(`${path}.values[${row}]`, `${length} elements for ${field.name}`, `${value.length}`);
  });
  if (column.nulls.length === 0) return values;
  if (column.nulls.length !== values.length) {
    throw new ColumnInvalidError(`${path}.nulls`, `one byte a row (${values.length})`, `${column.nulls.length}`);
  }
  return values.map((value, index) => (column.nulls[index] === 0 ? value : null));
}

function scalarsOf(column: ColumnValues | undefined, type: ValueType, path: string, name: string): readonly Scalar[] {
  const element = elementType(type);
  const expected = element === undefined ? caseOfType[type] : "lists";
  const held = column?.values;
  if (held?.case !== expected || held === undefined || held.case === undefined) {
    throw new ColumnInvalidError(path, `${expected} for ${name}`, held?.case ?? "no values");
  }
  if (held.case === "timestamps") return held.value.valuesUs;
  if (held.case !== "lists") return held.value.values;
  const { offsets, elements, nulls } = held.value;
  const values = scalarsOf(elements, element ?? ValueType.VALUE_TYPE_UNSPECIFIED, `${path}.lists.elements`, name);
  if (nulls.length !== 0 && nulls.length !== values.length) {
    throw new ColumnInvalidError(`${path}.lists.nulls`, `one byte an element (${values.length})`, `${nulls.length}`);
  }
  const items = nulls.length === 0 ? values : values.map((value, index) => (nulls[index] === 0 ? value : null));
  const rows: Scalar[] = [];
  for (let row = 0; row + 1 < offsets.length; row++) {
    const from = offsets[row] ?? 0;
    const to = offsets[row + 1] ?? 0;
    if (from > to || to > items.length) {
      throw new ColumnInvalidError(`${path}.lists.offsets`, "ascending offsets into the elements", `${from}, ${to}`);
    }
    rows.push(items.slice(from, to));
  }
  return rows;
}

/** A column of an answer as the contract has it: nulls become the type's zero. */
export function columnMessage(column: ServedColumn): ColumnValues {
  const values = Array.from({ length: column.rows }, (_, row) => column.value(row));
  return create(ColumnValuesSchema, packColumn(values, column.type));
}

/** Packs values of one type: nulls become the type's zero. */
export function packColumn(values: readonly Scalar[], type: ValueType): MessageInitShape<typeof ColumnValuesSchema> {
  switch (type) {
    case ValueType.BOOL:
      return { values: { case: "bools", value: { values: values.map((value) => value === true) } } };
    case ValueType.INT64:
      return { values: { case: "int64s", value: { values: values.map(bigintOf) } } };
    case ValueType.TIMESTAMP:
      return { values: { case: "timestamps", value: { valuesUs: values.map(bigintOf) } } };
    case ValueType.DOUBLE:
      return { values: { case: "doubles", value: { values: values.map(numberOf) } } };
    case ValueType.FLOAT:
      return { values: { case: "floats", value: { values: values.map(numberOf) } } };
    case ValueType.STRING:
      return {
        values: { case: "strings", value: { values: values.map((value) => (typeof value === "string" ? value : "")) } },
      };
    case ValueType.BYTES:
      return {
        values: {
          case: "bytes",
          value: { values: values.map((value) => (value instanceof Uint8Array ? value : new Uint8Array(0))) },
        },
      };
  }
  const element = elementType(type) ?? ValueType.VALUE_TYPE_UNSPECIFIED;
  const offsets = [0];
  const items: Scalar[] = [];
  let hasNulls = false;
  for (const value of values) {
    for (const item of isList(value) ? value : []) {
      items.push(item);
      if (item === null) hasNulls = true;
    }
    offsets.push(items.length);
  }
  const nulls = hasNulls ? Uint8Array.from(items, (item) => (item === null ? 1 : 0)) : new Uint8Array();
  return { values: { case: "lists", value: { offsets, elements: packColumn(items, element), nulls } } };
}

function isList(value: Scalar): value is readonly Scalar[] {
  return Array.isArray(value);
}

function bigintOf(value: Scalar): bigint {
  return typeof value === "bigint" ? value : 0n;
}

function numberOf(value: Scalar): number {
  return typeof value === "number" ? value : 0;
}
