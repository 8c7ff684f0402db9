import type { Scalar } from "../../compiled.ts";
import type { ExpressionType } from "../expression-type.ts";
import { infix, nullAwareOperation, type Operation, operation } from "../operation.ts";

/** Types whose values have an order. */
export const orderedTypes = [
  "INT64",
  "DOUBLE",
  "STRING",
  "TIMESTAMP",
  "LOCAL_TIMESTAMP",
  "INTERVAL",
  "BOOL",
  "BYTES",
] as const;

/**
 * The order of values of one type, as PostgreSQL has it: NaN equals itself and is greater than all other numbers, −0
 * equals 0, texts and bytes are compared byte by byte (collation C).
 */
export const compareValues = (a: Scalar, b: Scalar): number => {
  if (typeof a === "number" && typeof b === "number") return compareNumbers(a, b);
  if (typeof a === "string" && typeof b === "string") return compareTexts(a, b);
  if (a instanceof Uint8Array && b instanceof Uint8Array) return Buffer.compare(a, b);
  if ((typeof a === "bigint" && typeof b === "bigint") || (typeof a === "boolean" && typeof b === "boolean")) {
    return a < b ? -1 : a > b ? 1 : 0;
  }
  throw new TypeError("Values of two types, or of a type without an order, were compared.");
};

const compareNumbers = (a: number, b: number): number => {
  if (Number.isNaN(a)) return Number.isNaN(b) ? 0 : 1;
  if (Number.isNaN(b)) return -1;
  return a < b ? -1 : a > b ? 1 : 0;
};

const surrogate = /[\ud800-\udfff]/;

/** JavaScript orders UTF-16 units; the order of UTF-8 bytes differs only where surrogates are. */
const compareTexts = (a: string, b: string): number =>
  surrogate.test(a) || surrogate.test(b) ? Buffer.compare(Buffer.from(a), Buffer.from(b)) : a < b ? -1 : a > b ? 1 : 0;

const outcomes: readonly (readonly [string, (order: number) => boolean])[] = [
  ["=", (order) => order === 0],
  ["<>", (order) => order !== 0],
  ["<", (order) => order < 0],
  ["<=", (order) => order <= 0],
  [">", (order) => order > 0],
  [">=", (order) => order >= 0],
];

/** The six comparisons, for each type that has an order. */
export const comparisons: readonly Operation[] = orderedTypes.flatMap((type) =>
  outcomes.map(([name, outcome]) =>
    operation(name, [type, type], "BOOL", {
      evaluate: (a, b) => outcome(compareValues(a, b)),
      sql: infix(name),
    }),
  ),
);

/** IS [NOT] DISTINCT FROM: a comparison in which null equals null. */
export const distinctFrom = (type: ExpressionType, negated: boolean): Operation =>
  nullAwareOperation(negated ? "IS NOT DISTINCT FROM" : "IS DISTINCT FROM", [type, type], "BOOL", {
    evaluate: (a, b) => {
      const same = a === null || b === null || a === undefined || b === undefined ? a === b : compareValues(a, b) === 0;
      return same === negated;
    },
    sql: infix(negated ? "IS NOT DISTINCT FROM" : "IS DISTINCT FROM"),
  });

/** GREATEST or LEAST: nulls are skipped. */
export const extreme = (greatest: boolean, type: ExpressionType, count: number): Operation => {
  const name = greatest ? "GREATEST" : "LEAST";
  return nullAwareOperation(name, new Array(count).fill(type), type, {
    evaluate: (...values) => {
      let result: Scalar = null;
      for (const value of values) {
        if (value === null) continue;
        if (result === null || (greatest ? compareValues(value, result) > 0 : compareValues(value, result) < 0)) {
          result = value;
        }
      }
      return result;
    },
    sql: (...values) => `${name}(${values.join(", ")})`,
  });
};

const test = (name: string, takes: ExpressionType, evaluate: (value: Scalar) => boolean): Operation =>
  nullAwareOperation(name, [takes], "BOOL", {
    evaluate: (value = null) => evaluate(value),
    sql: (value) => `(${value} ${name})`,
  });

export const isNull = (type: ExpressionType): Operation => test("IS NULL", type, (value) => value === null);
export const isNotNull = (type: ExpressionType): Operation => test("IS NOT NULL", type, (value) => value !== null);

/** IS TRUE and its kin, by the name that the parser gives them. */
export const booleanTests: Readonly<Record<string, Operation>> = {
  IS_TRUE: test("IS TRUE", "BOOL", (value) => value === true),
  IS_NOT_TRUE: test("IS NOT TRUE", "BOOL", (value) => value !== true),
  IS_FALSE: test("IS FALSE", "BOOL", (value) => value === false),
  IS_NOT_FALSE: test("IS NOT FALSE", "BOOL", (value) => value !== false),
  IS_UNKNOWN: test("IS NULL", "BOOL", (value) => value === null),
  IS_NOT_UNKNOWN: test("IS NOT NULL", "BOOL", (value) => value !== null),
};

export const not: Operation = operation("NOT", ["BOOL"], "BOOL", {
  evaluate: (value) => !value,
  sql: (value) => `(NOT ${value})`,
});
