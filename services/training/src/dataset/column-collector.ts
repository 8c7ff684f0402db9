import { ValueType } from "@millrace/contracts/millrace/feature/v1/column";
import type { ColumnValues } from "./training-table.ts";

/** A value as a reader gives it; null and undefined are null. */
export type CollectedValue = null | undefined | boolean | number | bigint | string;

/** The types that a feature may have. Others are refused by name before anything is read. */
export const isLearnable = (type: ValueType): boolean =>
  type === ValueType.BOOL ||
  type === ValueType.INT64 ||
  type === ValueType.DOUBLE ||
  type === ValueType.FLOAT ||
  type === ValueType.STRING;

/** Collects the values of a column one by one, in memory that grows. */
export class ColumnCollector {
  readonly #type: ValueType;
  readonly #values: CollectedValue[] = [];
  #nulls = 0;

  constructor(type: ValueType) {
    this.#type = type;
  }

  add(value: CollectedValue): void {
    if (value === null || value === undefined) {
      this.#nulls += 1;
    }
    this.#values.push(value);
  }

  values(): ColumnValues {
    const values = this.#values;
    const isNull = (value: CollectedValue): boolean => value === null || value === undefined;
    const nulls = this.#nulls === 0 ? undefined : Uint8Array.from(values, (value) => (isNull(value) ? 1 : 0));
    switch (this.#type) {
      case ValueType.BOOL:
        return { kind: "boolean", values: Uint8Array.from(values, (value) => (value === true ? 1 : 0)), nulls };
      case ValueType.INT64:
      case ValueType.TIMESTAMP:
        return { kind: "integer", values: BigInt64Array.from(values, (value) => BigInt(value ?? 0)), nulls };
      case ValueType.STRING:
        return { kind: "string", values: values.map((value) => (isNull(value) ? "" : String(value))) };
      default:
        return {
          kind: "number",
          values: Float64Array.from(values, (value) => (isNull(value) ? Number.NaN : Number(value))),
        };
    }
  }
}
