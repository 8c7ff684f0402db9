import { DuckDBInstance } from "@duckdb/node-api";
import { ValueType } from "@millrace/contracts/millrace/feature/v1/column";
import { AggregateFunction } from "@millrace/contracts/millrace/feature/v1/feature_repository";
import { describe, expect, test } from "vitest";
import { distinctCodeSql, distinctEstimateSql, percentileCodeSql, percentileValueSql } from "../duckdb/sketch-sql.ts";
import { DistinctPartial } from "../stream/distinct-partial.ts";
import { PercentilePartial } from "../stream/percentile-partial.ts";
import { distinctCode } from "./distinct-sketch.ts";
import { percentileCode, percentileValue } from "./percentile-sketch.ts";

const seed = Number(process.env.MILLRACE_SEED ?? Math.floor(Math.random() * 2 ** 31));

function seeded(start: number): () => number {
  let state = start >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

const doubles = [
  0,
  -0,
  1,
  -1,
  0.1,
  -12.5,
  1e-308,
  5e-324,
  1.7976931348623157e308,
  -1e300,
  Number.NaN,
  Infinity,
  -Infinity,
];

const literal = (value: number): string => `CAST('${Object.is(value, -0) ? "-0" : String(value)}' AS DOUBLE)`;

async function column(sql: string): Promise<unknown[]> {
  const instance = await DuckDBInstance.create(":memory:");
  const connection = await instance.connect();
  try {
    const result = await connection.runAndReadAll(sql);
    return result.getRows().map(([value]) => value);
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}

describe("DISTINCT_COUNT's sketch", () => {
  test.each([1, 2, 10, 100, 1000, 10_000, 100_000])("is within four standard errors of %i", (count) => {
    const partial = new DistinctPartial();
    for (let index = 0; index < count; index++) {
      partial.add(`${seed} ${index}`);
      partial.add(`${seed} ${index}`);
    }
    // Two of a few values that fall into one register count as one.
    const bound = Math.max(1, ((4 * 1.04) / 64) * count);
    expect(Math.abs(Number(partial.result()) - count), `seed ${seed}`).toBeLessThanOrEqual(bound);
  });

  test("does not depend on how the values were grouped", () => {
    const random = seeded(seed);
    const parts = [0, 1, 2].map(() => new DistinctPartial());
    const all = new DistinctPartial();
    for (let index = 0; index < 5000; index++) {
      const value = BigInt(Math.floor(random() * 3000));
      parts[index % 3]?.add(value);
      all.add(value);
    }
    const [first, ...others] = parts;
    for (const other of others) first?.merge(other);
    expect(first?.result()).toBe(all.result());
  });

  test("has the same registers and the same estimate in SQL, for each type", async () => {
    const random = seeded(seed + 1);
    const integers = Array.from({ length: 2000 }, () => BigInt(Math.floor((random() - 0.5) * 1e6)));
    const integerSql = distinctCodeSql("v", ValueType.INT64);
    const list = integers.map((value) => `(${value}::BIGINT)`).join(", ");
    expect((await column(`SELECT ${integerSql} FROM (VALUES ${list}) t(v)`)).map(Number)).toEqual(
      integers.map(distinctCode),
    );
    const partial = new DistinctPartial();
    for (const value of integers) partial.add(value);
    const estimate = distinctEstimateSql("codes");
    const [estimated] = await column(
      `SELECT ${estimate} FROM (SELECT list(DISTINCT ${integerSql}) AS codes FROM (VALUES ${list}) t(v))`,
    );
    expect(estimated, `seed ${seed}`).toBe(partial.result());
    const texts = ["", "a", "å", "ATL", "\u{1f600}", "it's"];
    const textList = texts.map((value) => `('${value.replaceAll("'", "''")}')`).join(", ");
    const ofText = await column(`SELECT ${distinctCodeSql("v", ValueType.STRING)} FROM (VALUES ${textList}) t(v)`);
    expect(ofText.map(Number)).toEqual(texts.map(distinctCode));
    const ofBool = await column(`SELECT ${distinctCodeSql("v", ValueType.BOOL)} FROM (VALUES (true), (false)) t(v)`);
    expect(ofBool.map(Number)).toEqual([true, false].map(distinctCode));
    const ofBytes = await column(
      `SELECT ${distinctCodeSql("v", ValueType.BYTES)} FROM (VALUES ('\\x00\\xFF'::BLOB)) t(v)`,
    );
    expect(ofBytes.map(Number)).toEqual([distinctCode(Uint8Array.of(0, 255))]);
    const ofTime = await column(
      `SELECT ${distinctCodeSql("v", ValueType.TIMESTAMP)} FROM (VALUES (TIMESTAMP '2001-01-02 03:04:05.000006')) t(v)`,
    );
    expect(ofTime.map(Number)).toEqual([distinctCode(BigInt(Date.UTC(2001, 0, 2, 3, 4, 5)) * 1000n + 6n)]);
  });

  test("of nothing is null in SQL", async () => {
    expect(await column(`SELECT ${distinctEstimateSql("[NULL]::BIGINT[]")}`)).toEqual([null]);
  });
});

describe("APPROX_PERCENTILE's sketch", () => {
  test.each([0.01, 0.25, 0.5, 0.9, 0.99, 1])("is at most 1 %% from the percentile %d", (share) => {
    const random = seeded(seed + 2);
    const values = Array.from({ length: 3000 }, () => (random() - 0.3) * 10 ** (random() * 12 - 6));
    const partial = new PercentilePartial();
    for (const value of values) partial.add(value);
    const exact = [...values].sort((a, b) => a - b)[Math.max(0, Math.ceil(share * values.length) - 1)] ?? 0;
    const got = partial.result(AggregateFunction.APPROX_PERCENTILE, share);
    expect(Math.abs(got - exact), `seed ${seed}: ${got}, ${exact}`).toBeLessThanOrEqual(
      0.01 * Math.abs(exact) * 1.000001,
    );
  });

  test("keeps the order of values, and has no place for none", () => {
    const ordered = [-Infinity, -1e300, -12.5, -1, 0, 5e-324, 0.1, 1, 1e300, Infinity, Number.NaN].map(percentileCode);
    expect([...ordered].sort((a, b) => a - b)).toEqual(ordered);
    expect(percentileValue(percentileCode(Number.NaN))).toBeNaN();
    expect(percentileValue(percentileCode(-Infinity))).toBe(-Infinity);
    expect(percentileValue(percentileCode(0))).toBe(0);
  });

  test("has the same buckets and values in SQL", async () => {
    const random = seeded(seed + 3);
    const values = [...doubles, ...Array.from({ length: 2000 }, () => (random() - 0.5) * 10 ** (random() * 40 - 20))];
    const list = values.map((value) => `(${literal(value)})`).join(", ");
    const codes = await column(`SELECT ${percentileCodeSql("v")} FROM (VALUES ${list}) t(v)`);
    expect(codes.map(Number), `seed ${seed}`).toEqual(values.map((value) => percentileCode(value) + 0));
    const back = await column(
      `SELECT ${percentileValueSql("c")} FROM (SELECT ${percentileCodeSql("v")} AS c FROM (VALUES ${list}) t(v))`,
    );
    back.forEach((value, index) => {
      const expected = percentileValue(percentileCode(values[index] ?? 0));
      if (Number.isFinite(expected)) expect(Number(value) / (expected || 1)).toBeCloseTo(expected === 0 ? 0 : 1, 9);
      else expect(value).toBe(expected);
    });
  });
});
