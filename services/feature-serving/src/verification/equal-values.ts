import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { type Value, ValueSchema, ValueType } from "@millrace/contracts/millrace/feature/v1/column";
import type { Scalar } from "@millrace/feature-definition";
import { packColumn } from "../column-values.ts";

/** How far two values lie apart. */
export interface Difference {
  readonly isEqual: boolean;
  /** The greatest relative difference of two numbers in them; 0 where there is none. */
  readonly relative: number;
}

/** @param tolerance how far two numbers with fractions may lie apart, relative to the larger. */
export const differenceOf = (a: Scalar, b: Scalar, tolerance: number): Difference => {
  if (typeof a === "number" && typeof b === "number") {
    if (Object.is(a, b) || a === b) return { isEqual: true, relative: 0 };
    const relative = Math.abs(a - b) / Math.max(Math.abs(a), Math.abs(b));
    // Infinite or NaN against a number: nothing is said by how much.
    return Number.isFinite(relative) ? { isEqual: relative <= tolerance, relative } : { isEqual: false, relative: 0 };
  }
  if (a instanceof Uint8Array && b instanceof Uint8Array) return { isEqual: Buffer.compare(a, b) === 0, relative: 0 };
  if (isList(a) && isList(b)) {
    if (a.length !== b.length) return { isEqual: false, relative: 0 };
    const differences = a.map((element, index) => differenceOf(element, b[index] ?? null, tolerance));
    return {
      isEqual: differences.every(({ isEqual }) => isEqual),
      relative: Math.max(0, ...differences.map(({ relative }) => relative)),
    };
  }
  return { isEqual: a === b, relative: 0 };
};

const isList = (value: Scalar): value is readonly Scalar[] => Array.isArray(value);

/** A value on its own, as the contract has it; undefined for null. */
export const messageOf = (value: Scalar, type: ValueType): Value | undefined => {
  if (value === null) return undefined;
  return create(ValueSchema, { value: choiceOf(value, type) ?? { case: undefined } });
};

const choiceOf = (value: Exclude<Scalar, null>, type: ValueType): MessageInitShape<typeof ValueSchema>["value"] => {
  switch (typeof value) {
    case "boolean":
      return { case: "bool", value };
    case "bigint":
      return type === ValueType.TIMESTAMP ? { case: "timestampUs", value } : { case: "int64", value };
    case "number":
      return type === ValueType.FLOAT ? { case: "float", value } : { case: "double", value };
    case "string":
      return { case: "string", value };
  }
  if (value instanceof Uint8Array) return { case: "bytes", value };
  // The column of one list: its elements are the values.
  const lists = packColumn([value], type).values;
  return { case: "list", value: lists?.case === "lists" ? (lists.value?.elements ?? {}) : {} };
};
