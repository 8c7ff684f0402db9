import { DuckDBInstance } from "@duckdb/node-api";
import { ValueType } from "@millrace/contracts/millrace/feature/v1/column";
import { AggregateFunction } from "@millrace/contracts/millrace/feature/v1/feature_repository";
import { describe, expect, test } from "vitest";
import {
  distinctCountSql,
  distinctHashSql,
  percentileCodeSql,
  percentileValueSql,
  registerCodeSql,
} from "../duckdb/sketch-sql.ts";
import { ByteReader } from "../stream/byte-reader.ts";
import { ByteWriter } from "../stream/byte-writer.ts";
import { DistinctPartial } from "../stream/distinct-partial.ts";
import { PercentilePartial } from "../stream/percentile-partial.ts";
import { distinctHash, registerCode } from "./distinct-sketch.ts";
import { bucketBorder, lowestBucket, percentileCode, percentileValue } from "./percentile-sketch.ts";

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

const bits = new BigInt64Array(1);
const double = new Float64Array(bits.buffer);
const neighbour = (value: number, step: bigint): number => {
  double[0] = value;
  bits[0] = (bits[0] ?? 0n) + step;
  return double[0];
};
const nextAbove = (value: number): number => neighbour(value, 1n);
const nextBelow = (value: number): number => neighbour(value, -1n);

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
  const countOf = (count: number): bigint => {
    const partial = new DistinctPartial();
    for (let index = 0; index < count; index++) {
      partial.add(`${seed} ${index}`);
      partial.add(`${seed} ${index}`);
    }
    return partial.result();
  };

  test.each([1, 2, 10, 100, 128])("counts %i values exactly", (count) => {
    expect(countOf(count), `seed ${seed}`).toBe(BigInt(count));
  });

  test.each([129, 1000, 10_000, 100_000])("is within four standard errors of %i", (count) => {
    expect(Math.abs(Number(countOf(count)) - count), `seed ${seed}`).toBeLessThanOrEqual(((4 * 1.04) / 64) * count);
  });

  test.each([100, 128, 129, 300, 5000])(
    "of %i values does not depend on how they were grouped, through bytes",
    (count) => {
      const random = seeded(seed);
      const written = (partial: DistinctPartial): DistinctPartial => {
        const writer = new ByteWriter();
        partial.write(writer);
        return DistinctPartial.read(new ByteReader(writer.finish()));
      };
      const parts = [0, 1, 2, 3].map(() => new DistinctPartial());
      const all = new DistinctPartial();
      for (let index = 0; index < 3 * count; index++) {
        const value = BigInt(index % count);
        parts[Math.floor(random() ** 3 * 4)]?.add(value);
        all.add(value);
      }
      const merged = new DistinctPartial();
      for (const part of parts) merged.merge(written(part));
      expect(written(merged).result(), `seed ${seed}`).toBe(all.result());
      if (count <= 128) expect(all.result()).toBe(BigInt(count));
    },
  );

  const countSql = (value: string, type: ValueType): string => {
    const hash = distinctHashSql(value, type);
    return distinctCountSql(`count(DISTINCT ${hash})`, `list(DISTINCT ${registerCodeSql(hash)})`);
  };

  test.each([100, 128, 129, 2000])(
    "has the same hashes, registers and number in SQL, of %i integers",
    async (count) => {
      const random = seeded(seed + 1);
      const integers = Array.from({ length: count }, () => BigInt(Math.floor((random() - 0.5) * 1e6)));
      const list = integers.map((value) => `(${value}::BIGINT)`).join(", ");
      const hash = distinctHashSql("v", ValueType.INT64);
      const hashes = await column(`SELECT ${hash} FROM (VALUES ${list}) t(v)`);
      expect(hashes.map(Number)).toEqual(integers.map(distinctHash));
      const codes = await column(`SELECT ${registerCodeSql(hash)} FROM (VALUES ${list}) t(v)`);
      expect(codes.map(Number)).toEqual(integers.map((value) => registerCode(distinctHash(value))));
      const partial = new DistinctPartial();
      for (const value of integers) partial.add(value);
      const counted = await column(`SELECT ${countSql("v", ValueType.INT64)} FROM (VALUES ${list}, (NULL)) t(v)`);
      expect(counted, `seed ${seed}`).toEqual([partial.result()]);
    },
  );

  test("knows a register's value at every number of leading zeros, in SQL too", async () => {
    const hashes = Array.from({ length: 37 }, (_, bit) => 5 * 2 ** 36 + (bit === 36 ? 0 : 2 ** bit));
    const expected = hashes.map((_, bit) => 5 * 64 + (bit === 36 ? 37 : 36 - bit));
    expect(hashes.map(registerCode)).toEqual(expected);
    const list = hashes.map((hash) => `(${hash}::BIGINT)`).join(", ");
    const codes = await column(`SELECT ${registerCodeSql("h")} FROM (VALUES ${list}) t(h)`);
    expect(codes.map(Number)).toEqual(expected);
  });

  test.each([
    {
      type: "STRING" as const,
      sql: "VALUES (''), ('a'), ('å'), ('ATL'), ('\u{1f600}'), ('it''s')",
      values: ["", "a", "å", "ATL", "\u{1f600}", "it's"],
    },
    { type: "BOOL" as const, sql: "VALUES (true), (false)", values: [true, false] },
    {
      type: "BYTES" as const,
      sql: "VALUES ('\\x00\\xFF'::BLOB), (''::BLOB)",
      values: [Uint8Array.of(0, 255), new Uint8Array()],
    },
    {
      type: "TIMESTAMP" as const,
      sql: "VALUES (TIMESTAMP '2001-01-02 03:04:05.000006'), (TIMESTAMP '1969-12-31 23:59:59.999999')",
      values: [BigInt(Date.UTC(2001, 0, 2, 3, 4, 5)) * 1000n + 6n, -1n],
    },
  ])("hashes $type in SQL as in code", async ({ type, sql, values }) => {
    const hashes = await column(`SELECT ${distinctHashSql("v", ValueType[type])} FROM (${sql}) t(v)`);
    expect(hashes.map(Number)).toEqual(values.map(distinctHash));
  });

  test("of nothing is null in SQL", async () => {
    expect(await column(`SELECT ${countSql("v", ValueType.INT64)} FROM (VALUES (NULL::BIGINT)) t(v)`)).toEqual([null]);
  });
});

describe("APPROX_PERCENTILE's sketch", () => {
  test.each([0.01, 0.25, 0.5, 0.9, 0.99, 1])("is at most a hundredth from the percentile at a share of %d", (share) => {
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
    const ordered = [-Infinity, -1e300, -12.5, -1, 0, 2.3e-308, 0.1, 1, 1e300, Infinity, Number.NaN].map(
      percentileCode,
    );
    expect([...ordered].sort((a, b) => a - b)).toEqual(ordered);
    expect(percentileValue(percentileCode(Number.NaN))).toBeNaN();
    expect(percentileValue(percentileCode(-Infinity))).toBe(-Infinity);
    expect(percentileValue(percentileCode(0))).toBe(0);
  });

  test("is at most a hundredth from every value, from the smallest normal double to the greatest", () => {
    const random = seeded(seed + 4);
    const values = [2.3e-308, 1e-300, 0.1, 1, 100, 1e300, Number.MAX_VALUE];
    for (let index = 0; index < 2000; index++) values.push(random() * 10 ** (random() * 614 - 306));
    for (const value of values) {
      const error = Math.abs(percentileValue(percentileCode(value)) - value) / value;
      expect(error, `${value}, seed ${seed}`).toBeLessThanOrEqual(0.01 * (1 + 1e-9));
    }
  });

  test("counts what is nearer to 0 than doubles have digits for as 0", () => {
    expect([5e-324, -5e-324, -0, 2.2e-308].map((value) => percentileCode(value))).toEqual([0, 0, 0, 0]);
  });

  test("puts a value at a border, and its neighbours, into the same bucket in SQL", { timeout: 60_000 }, async () => {
    const buckets: number[] = [];
    for (let bucket = lowestBucket - 1; bucket <= 35_487; bucket++) buckets.push(bucket);
    const values = buckets.map(bucketBorder).flatMap((border) => [nextBelow(border), border, nextAbove(border)]);
    const expected = values.map(percentileCode);
    // A border belongs to the bucket below it, whatever the logarithm says.
    buckets.slice(1).forEach((bucket, index) => {
      expect(expected[3 * index + 4]).toBe(1_000_000 + bucket);
      expect(expected[3 * index + 5]).toBe(1_000_000 + bucket + 1);
    });
    const instance = await DuckDBInstance.create(":memory:");
    const connection = await instance.connect();
    try {
      await connection.run("CREATE TABLE borders (v DOUBLE)");
      const appender = await connection.createAppender("borders");
      for (const value of values) {
        appender.appendDouble(value);
        appender.endRow();
      }
      appender.closeSync();
      const rows = await connection.runAndReadAll(
        `SELECT c, v, ${percentileValueSql("c")} FROM (SELECT v, ${percentileCodeSql("v")} AS c FROM borders)`,
      );
      const got = rows.getRows();
      expect(got).toHaveLength(values.length);
      got.forEach(([code, value, stands], index) => {
        if (Number(code) !== expected[index]) expect.fail(`${String(value)}: ${String(code)} for ${expected[index]}`);
        if (stands !== percentileValue(Number(code)))
          expect.fail(`bucket ${String(code)} stands for ${String(stands)}`);
      });
    } finally {
      connection.closeSync();
      instance.closeSync();
    }
  });

  test("has the same buckets and values in SQL, to the bit", async () => {
    const random = seeded(seed + 3);
    const values = [...doubles, ...Array.from({ length: 2000 }, () => (random() - 0.5) * 10 ** (random() * 40 - 20))];
    const list = values.map((value) => `(${literal(value)})`).join(", ");
    const codes = await column(`SELECT ${percentileCodeSql("v")} FROM (VALUES ${list}, (NULL)) t(v)`);
    const expected = values.map(percentileCode);
    expect(codes.slice(0, -1).map(Number), `seed ${seed}`).toEqual(expected);
    expect(codes.at(-1)).toBeNull();
    const back = await column(
      `SELECT ${percentileValueSql("c")} FROM (SELECT ${percentileCodeSql("v")} AS c FROM (VALUES ${list}) t(v))`,
    );
    expect(back, `seed ${seed}`).toEqual(expected.map(percentileValue));
  });
});
