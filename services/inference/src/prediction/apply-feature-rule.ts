import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type ColumnValues,
  ColumnValuesSchema,
  FeatureStatus,
  ValueType,
} from "@millrace/contracts/millrace/feature/v1/column";
import type { ReadableColumn } from "./column-rows.ts";
import { type FeatureGap, type FeatureRule, type TypedDefault, typeName } from "./feature-policy.ts";
import { FeatureMissingError } from "./predict-errors.ts";

/** What became of the rows of one feature under its rule. */
export interface RuledFeature {
  /** As the model reads it. */
  readonly column: ReadableColumn;
  /** One byte a row, 1 where the default went in; undefined where it did in none. */
  readonly defaulted: Uint8Array | undefined;
  /** Rows without a value, by why. */
  readonly gaps: Readonly<Record<FeatureGap, number>>;
  readonly defaultedRows: number;
  readonly refusedRows: number;
  /** The first row that is refused, and why. */
  readonly refused: { readonly row: number; readonly gap: FeatureGap } | undefined;
}

const gapOf = (status: FeatureStatus): FeatureGap | undefined => {
  if (status === FeatureStatus.NOT_FOUND) return "MISSING";
  if (status === FeatureStatus.OUTSIDE_MAX_AGE) return "STALE";
  return status === FeatureStatus.UNAVAILABLE ? "UNAVAILABLE" : undefined;
};

/**
 * Applies a rule to the rows of a feature. A null that its source has (NULL_VALUE) is a value that training saw, and goes
 * in as it is.
 * @param type of the feature, for a column that has no values at all.
 * @throws FeatureMissingError where the column is not of the feature's type and a default has to go into it.
 */
export const applyFeatureRule = (
  column: ReadableColumn,
  rule: FeatureRule,
  type: ValueType,
  rows: number,
): RuledFeature => {
  const gaps: Record<FeatureGap, number> = { MISSING: 0, STALE: 0, UNAVAILABLE: 0 };
  let defaulted: Uint8Array | undefined;
  let defaultedRows = 0;
  let refusedRows = 0;
  let refused: RuledFeature["refused"];
  for (let row = 0; row < rows; row++) {
    const gap = gapOf(column.status(row));
    if (gap === undefined) continue;
    gaps[gap]++;
    const action = rule.actions[gap];
    if (action === "REFUSE") {
      refusedRows++;
      refused ??= { row, gap };
    } else if (action === "DEFAULT" && rule.default !== undefined) {
      defaulted ??= new Uint8Array(rows);
      defaulted[row] = 1;
      defaultedRows++;
    }
  }
  const ruled =
    defaulted === undefined || rule.default === undefined
      ? column
      : withDefaults(column, defaulted, rule.default, type, rows);
  return { column: ruled, defaulted, gaps, defaultedRows, refusedRows, refused };
};

/** A feature of which nothing is known, since feature-serving did not answer. */
export const unavailableColumn = (name: string): ReadableColumn => ({
  name,
  values: create(ColumnValuesSchema),
  isNull: () => true,
  status: () => FeatureStatus.UNAVAILABLE,
  eventTimeUs: () => undefined,
});

const withDefaults = (
  column: ReadableColumn,
  defaulted: Uint8Array,
  value: TypedDefault,
  type: ValueType,
  rows: number,
): ReadableColumn => ({
  ...column,
  values: valuesWith(column, defaulted, value, type, rows),
  isNull: (row) => defaulted[row] !== 1 && column.isNull(row),
});

const valuesWith = (
  { name, values }: ReadableColumn,
  defaulted: Uint8Array,
  value: TypedDefault,
  type: ValueType,
  rows: number,
): ColumnValues => {
  const form = forms.get(type);
  const held = values.values;
  if (form === undefined || (held.case !== undefined && held.case !== form.case)) {
    throw new FeatureMissingError(name, 0, `${held.case} where ${typeName(type)} is read`);
  }
  const served: ArrayLike<TypedDefault> =
    held.case === undefined
      ? []
      : held.case === "timestamps"
        ? held.value.valuesUs
        : (held.value as { readonly values: readonly TypedDefault[] }).values;
  const filled = Array.from({ length: rows }, (_, row) => (defaulted[row] === 1 ? value : (served[row] ?? form.zero)));
  const inner = form.case === "timestamps" ? { valuesUs: filled } : { values: filled };
  return create(ColumnValuesSchema, {
    values: { case: form.case, value: inner },
  } as MessageInitShape<typeof ColumnValuesSchema>);
};

type Form = { readonly case: NonNullable<ColumnValues["values"]["case"]>; readonly zero: TypedDefault };

/** How the values of a type travel, and what stands in the place of a null. */
const forms: ReadonlyMap<ValueType, Form> = new Map<ValueType, Form>([
  [ValueType.BOOL, { case: "bools", zero: false }],
  [ValueType.INT64, { case: "int64s", zero: 0n }],
  [ValueType.DOUBLE, { case: "doubles", zero: 0 }],
  [ValueType.FLOAT, { case: "floats", zero: 0 }],
  [ValueType.STRING, { case: "strings", zero: "" }],
  [ValueType.TIMESTAMP, { case: "timestamps", zero: 0n }],
]);
