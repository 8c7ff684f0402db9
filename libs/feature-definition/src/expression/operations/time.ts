import { failing } from "../duckdb-literal.ts";
import type { ScalarType } from "../expression-type.ts";
import { infix, type Operation, operation } from "../operation.ts";
import { checked, fail } from "./arithmetic.ts";
import { type CivilTime, civilTime, instantOf, isoWeek } from "./civil-time.ts";
import { roundHalfToEven } from "./mathematics.ts";

const secondUs = 1_000_000n;
const timestampPlus = (a: string, b: string): string => `make_timestamp(epoch_us(${a}) + ${b})`;

/** Arithmetic of instants and spans. In SQL a span is a BIGINT of microseconds. */
export const timeArithmetic: readonly Operation[] = (["TIMESTAMP", "LOCAL_TIMESTAMP"] as const).flatMap((type) => [
  operation("-", [type, type], "INTERVAL", {
    fails: true,
    evaluate: (a, b) => checked(a - b),
    sql: (a, b) => `(epoch_us(${a}) - epoch_us(${b}))`,
  }),
  operation("+", [type, "INTERVAL"], type, {
    fails: true,
    evaluate: (a, b) => checked(a + b),
    sql: (a = "", b = "") => timestampPlus(a, b),
  }),
  operation("+", ["INTERVAL", type], type, {
    fails: true,
    evaluate: (a, b) => checked(a + b),
    sql: (a = "", b = "") => timestampPlus(b, a),
  }),
  operation("-", [type, "INTERVAL"], type, {
    fails: true,
    evaluate: (a, b) => checked(a - b),
    sql: (a, b) => `make_timestamp(epoch_us(${a}) - ${b})`,
  }),
]);

export const intervalArithmetic: readonly Operation[] = [
  operation("+", ["INTERVAL", "INTERVAL"], "INTERVAL", {
    fails: true,
    evaluate: (a, b) => checked(a + b),
    sql: infix("+"),
  }),
  operation("-", ["INTERVAL", "INTERVAL"], "INTERVAL", {
    fails: true,
    evaluate: (a, b) => checked(a - b),
    sql: infix("-"),
  }),
  operation("-", ["INTERVAL"], "INTERVAL", { fails: true, evaluate: (a) => checked(-a), sql: (a) => `(-${a})` }),
];

export const toTimestamp: Operation = operation("to_timestamp", ["DOUBLE"], "TIMESTAMP", {
  fails: true,
  evaluate: (seconds) => {
    const us = roundHalfToEven(seconds * 1e6);
    return Number.isFinite(us) && Math.abs(us) < 9e18 ? BigInt(us) : fail("TIMESTAMP is out of range");
  },
  sql: (seconds) =>
    `CASE WHEN abs(${seconds}) >= 9e12 THEN ${failing("TIMESTAMP")} ELSE make_timestamp(CAST(${seconds} * 1000000 AS BIGINT)) END`,
});

type Field = (time: CivilTime, us: bigint) => bigint;

/** Whole-numbered parts of a time, with the name that DuckDB has for them. */
const wholeFields: Readonly<Record<string, Field>> = {
  year: (time) => BigInt(time.year),
  isoyear: (time) => BigInt(isoWeek(time).year),
  quarter: (time) => BigInt(Math.floor((time.month - 1) / 3) + 1),
  month: (time) => BigInt(time.month),
  week: (time) => BigInt(isoWeek(time).week),
  doy: (time) => BigInt(time.dayOfYear),
  day: (time) => BigInt(time.day),
  dow: (time) => BigInt(time.weekday),
  isodow: (time) => BigInt(time.weekday === 0 ? 7 : time.weekday),
  hour: (time) => BigInt(time.hour),
  minute: (time) => BigInt(time.minute),
  microseconds: (time) => BigInt(time.secondUs),
};

/** Parts that have a fraction: microseconds divided by what makes the unit. */
const fractionalFields: Readonly<Record<string, number>> = { second: 1e6, milliseconds: 1e3 };

export const extractFields: readonly string[] = [
  ...Object.keys(wholeFields),
  ...Object.keys(fractionalFields),
  "epoch",
];

/** extract(field FROM value): INT64 for whole parts; DOUBLE for second, milliseconds and epoch. */
export const extract = (field: string, type: ScalarType): Operation | undefined => {
  if (field === "epoch" && type !== "BOOL") return epochOf(type);
  if (type !== "TIMESTAMP" && type !== "LOCAL_TIMESTAMP") return undefined;
  const name = `extract:${field}`;
  const whole = wholeFields[field];
  if (whole !== undefined) {
    return operation(name, [type], "INT64", {
      evaluate: (us) => whole(civilTime(us), us),
      sql: (value) => `date_part('${field}', ${value})`,
    });
  }
  const divisor = fractionalFields[field];
  if (divisor === undefined) return undefined;
  return operation(name, [type], "DOUBLE", {
    evaluate: (us) => civilTime(us).secondUs / divisor,
    sql: (value) => `(CAST(date_part('microseconds', ${value}) AS DOUBLE) / CAST(${divisor} AS DOUBLE))`,
  });
};

const epochOf = (type: ScalarType): Operation | undefined => {
  const us = (value: string): string => (type === "INTERVAL" ? value : `epoch_us(${value})`);
  return type === "TIMESTAMP" || type === "LOCAL_TIMESTAMP" || type === "INTERVAL"
    ? operation("extract:epoch", [type], "DOUBLE", {
        evaluate: (value) => Number(value) / 1e6,
        sql: (value = "") => `(CAST(${us(value)} AS DOUBLE) / CAST(1000000 AS DOUBLE))`,
      })
    : undefined;
};

const fixedUnitsUs: Readonly<Record<string, bigint>> = {
  milliseconds: 1_000n,
  second: secondUs,
  minute: 60n * secondUs,
  hour: 3_600n * secondUs,
  day: 86_400n * secondUs,
};

const calendarUnits: Readonly<Record<string, (time: CivilTime, us: bigint) => bigint>> = {
  week: (time, us) => {
    const dayUs = 86_400n * secondUs;
    return floorTo(us, dayUs) - BigInt((time.weekday + 6) % 7) * dayUs;
  },
  month: (time) => instantOf(time.year, time.month, 1),
  quarter: (time) => instantOf(time.year, Math.floor((time.month - 1) / 3) * 3 + 1, 1),
  year: (time) => instantOf(time.year, 1, 1),
};

export const truncationUnits: readonly string[] = [...Object.keys(fixedUnitsUs), ...Object.keys(calendarUnits)];

/** date_trunc(unit, value): the start of the unit that the time lies in, at UTC. */
export const dateTrunc = (unit: string, type: "TIMESTAMP" | "LOCAL_TIMESTAMP"): Operation | undefined => {
  const fixed = fixedUnitsUs[unit];
  const calendar = calendarUnits[unit];
  const truncate =
    fixed !== undefined
      ? (us: bigint) => floorTo(us, fixed)
      : calendar !== undefined
        ? (us: bigint) => calendar(civilTime(us), us)
        : undefined;
  if (truncate === undefined) return undefined;
  return operation(`date_trunc:${unit}`, [type], type, {
    evaluate: truncate,
    sql: (value) => `CAST(date_trunc('${unit}', ${value}) AS TIMESTAMP)`,
  });
};

const floorTo = (us: bigint, stepUs: bigint): bigint => us - (((us % stepUs) + stepUs) % stepUs);
