import { FeatureStatus, ValueType } from "@millrace/contracts/millrace/feature/v1/column";
import { elementType, type Scalar } from "@millrace/feature-definition";
import { ServedColumn } from "@millrace/feature-definition/stream";

/** Printed by whoever imports this; MILLRACE_SEED sets it. */
export const seed = Number(process.env.MILLRACE_SEED ?? Math.floor(Math.random() * 2 ** 31));
let state = seed;
/** Whole numbers from 0 up to, and without, the limit. (Numerical Recipes' linear congruential generator.) */
export const below = (limit: number): number => {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
  return Math.floor((state / 2 ** 32) * limit);
};

export const pick = <T>(values: readonly T[]): T => values[below(values.length)] as T;
const integers = [0n, 1n, -1n, 127n, 128n, 2n ** 31n, -(2n ** 31n), 2n ** 32n, 2n ** 53n, 2n ** 63n - 1n, -(2n ** 63n)];
const numbers = [0, -0, 1.5, -1e300, Number.NaN, Number.POSITIVE_INFINITY, 5e-324];
export const texts = ["", "a", "žluťoučký", "🦜", "x".repeat(200)];

const randomValue = (type: ValueType): Exclude<Scalar, null> => {
  switch (type) {
    case ValueType.BOOL:
      return below(2) === 1;
    case ValueType.INT64:
    case ValueType.TIMESTAMP:
      return below(2) === 0 ? pick(integers) : BigInt(below(1e9)) * BigInt(below(1e9)) - 2n ** 40n;
    case ValueType.DOUBLE:
      return below(2) === 0 ? pick(numbers) : below(1e6) / 7;
    case ValueType.FLOAT:
      return Math.fround(below(1e6) / 7);
    case ValueType.STRING:
      return pick(texts);
    case ValueType.BYTES:
      return Uint8Array.from({ length: below(5) }, () => below(256));
  }
  const element = elementType(type);
  if (element === undefined) throw new TypeError(`No value of type ${type}.`);
  return Array.from({ length: below(4) }, () => (below(5) === 0 ? null : randomValue(element)));
};

const types: readonly ValueType[] = [
  ValueType.BOOL,
  ValueType.INT64,
  ValueType.DOUBLE,
  ValueType.FLOAT,
  ValueType.STRING,
  ValueType.BYTES,
  ValueType.TIMESTAMP,
  ValueType.BOOL_LIST,
  ValueType.INT64_LIST,
  ValueType.DOUBLE_LIST,
  ValueType.FLOAT_LIST,
  ValueType.STRING_LIST,
  ValueType.BYTES_LIST,
  ValueType.TIMESTAMP_LIST,
];
const statuses = [FeatureStatus.NULL_VALUE, FeatureStatus.NOT_FOUND, FeatureStatus.OUTSIDE_MAX_AGE];

/** A column of any type with rows of every status. */
export const randomColumn = (rows: number): ServedColumn => {
  const column = new ServedColumn(pick(types), rows);
  for (let row = 0; row < rows; row++) {
    const isPresent = below(4) > 0;
    column.setValue(row, isPresent ? randomValue(column.type) : null);
    column.setStatus(row, isPresent ? FeatureStatus.PRESENT : pick(statuses));
    column.setEventTimeUs(row, pick([0, -1, 127, 128, 2 ** 31, 2 ** 32, 1_764_000_000_123_456, -(2 ** 52)]));
  }
  return column;
};
