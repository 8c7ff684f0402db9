import { join } from "node:path";
import { fromJson, type JsonObject } from "@bufbuild/protobuf";
import { DuckDBInstance, DuckDBTimestampValue, FLOAT, LIST, listValue } from "@duckdb/node-api";
import { FeatureRepositorySchema } from "@millrace/contracts/millrace/feature/v1/feature_repository";
import { compileRepository } from "../compile-repository.ts";
import type { CompiledRepository, Scalar } from "../compiled.ts";

const minute = 60_000_000;
const hour = 60 * minute;
const day = 24 * hour;
export const startUs = Date.UTC(2001, 0, 10) * 1000;

const sketches = [
  { function: "LAST_N", n: 3 },
  { function: "APPROX_PERCENTILE", percentile: 0.5 },
  { function: "APPROX_PERCENTILE", percentile: 0.95 },
];
const functions = ["COUNT", "SUM", "MEAN", "MIN", "MAX", "LAST", "FIRST", "STDDEV", "VARIANCE"];
const windows = ["30m", "1h", "13h", "3d", "14d"];

/** Every function over floats and integers and, where it can, text, over windows of every hop, for one and for two keys. */
export function salesRepository(): CompiledRepository {
  const inputs = [
    { of: "amount", functions },
    { of: "items", functions },
    { of: "label", functions: ["COUNT", "MIN", "MAX", "LAST", "FIRST"] },
    { of: "amount::real", functions: ["SUM", "MEAN", "MIN", "MAX", "LAST", "STDDEV"] },
    { of: "embedding", functions: ["COUNT", "LAST", "FIRST"] },
    { of: "CASE WHEN amount > 10 THEN 1.0 ELSE 0.0 END", functions: ["SUM", "MEAN"] },
  ];
  const aggregates: JsonObject[] = windows.flatMap((window, w) => [
    { name: `rows_${w}`, function: "COUNT", window },
    ...inputs.flatMap((input, i) =>
      input.functions.map((name) => ({
        name: `${name.toLowerCase()}_${i}_${w}`,
        function: name,
        of: input.of,
        window,
      })),
    ),
    ...["amount", "items", "amount::real"].flatMap((of, i) =>
      sketches.map((sketch, s) => ({ name: `sketch_${i}_${s}_${w}`, of, window, ...sketch })),
    ),
    { name: `last_labels_${w}`, function: "LAST_N", n: 2, of: "label", window },
    { name: `last_times_${w}`, function: "LAST_N", n: 4, of: "sold_at", window },
    { name: `last_signs_${w}`, function: "LAST_N", n: 4, of: "items > 0", window },
    { name: `times_${w}`, function: "DISTINCT_COUNT", of: "sold_at", window },
    { name: `signs_${w}`, function: "DISTINCT_COUNT", of: "items > 0", window },
    { name: `labels_${w}`, function: "DISTINCT_COUNT", of: "label", window },
    { name: `distinct_items_${w}`, function: "DISTINCT_COUNT", of: "items", window },
  ]);
  return compileRepository(
    fromJson(FeatureRepositorySchema, {
      entities: [
        { name: "shop", keys: [{ name: "shop", type: "STRING" }] },
        { name: "place", keys: [{ name: "place", type: "STRING" }] },
        {
          name: "visitor",
          keys: [
            { name: "shop", type: "STRING" },
            { name: "customer", type: "INT64" },
          ],
        },
      ],
      sources: [
        {
          name: "sales",
          fields: [
            { name: "shop", type: "STRING" },
            { name: "customer", type: "INT64" },
            { name: "amount", type: "DOUBLE" },
            { name: "items", type: "INT64" },
            { name: "label", type: "STRING" },
            { name: "sold_at", type: "TIMESTAMP" },
            { name: "known_at", type: "TIMESTAMP" },
            { name: "embedding", type: "FLOAT_LIST", length: 3 },
          ],
          eventTime: "sold_at",
          createdAt: "known_at",
          allowedLateness: "36h",
          derived: [
            { name: "items_or_one", expression: "coalesce(items, 1)" },
            { name: "share", expression: "amount / nullif(items_or_one, 0)" },
            { name: "place", expression: "CASE WHEN shop <> '12' THEN upper(shop) END" },
          ],
          batch: { parquet: "sales.parquet" },
        },
      ],
      featureViews: [
        { name: "by_shop", entity: "shop", source: "sales", maxBytesPerKey: 1_000_000, aggregates },
        {
          name: "by_visitor",
          entity: "visitor",
          source: "sales",
          where: "items IS NULL OR items <> 3",
          aggregates: aggregates.slice(0, 60),
        },
        {
          name: "by_place",
          entity: "place",
          source: "sales",
          where: "items_or_one < 4",
          aggregates: windows.slice(1, 4).flatMap((window, w) =>
            ["COUNT", "SUM", "MEAN", "MIN", "MAX", "LAST"].map((name) => ({
              name: `${name.toLowerCase()}_share_${w}`,
              function: name,
              of: "share",
              window,
            })),
          ),
        },
        {
          name: "last_sale",
          entity: "shop",
          source: "sales",
          ttl: "5h",
          features: [
            { name: "amount", type: "DOUBLE" },
            { name: "label", type: "STRING" },
            { name: "embedding", type: "FLOAT_LIST", length: 3 },
          ],
        },
      ],
      featureServices: [{ name: "all", features: ["by_shop.*", "by_visitor.*", "by_place.*", "last_sale.*"] }],
    }),
  );
}

export function seeded(start: number): (below: number) => number {
  let state = start >>> 0;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

export const shops = ["a", "b", "å1", "1", "12"];

/** What amounts are like: small ones, ones so large that sums cancel, or with NaN, infinities and next to nothing. */
export type Amounts = "small" | "large" | "odd";

const oddAmounts = [Number.NaN, Infinity, -Infinity, -0, 5e-324, -1e-310];

/**
 * Ties, duplicates, late and too late ones, ones from the near and the far future, nulls, null keys; in random order. One
 * shop has half of them.
 */
export function randomSales(random: (below: number) => number, count: number, amounts: Amounts): Scalar[][] {
  const amount = (): Scalar => {
    if (random(6) === 0) return null;
    if (amounts === "large" && random(7) === 0) return (random(2000) - 1000) * 1e7 + 0.37;
    if (amounts === "odd" && random(15) === 0) return oddAmounts[random(oddAmounts.length)] ?? null;
    return random(400) / 7 - 20;
  };
  const rows = Array.from({ length: count }, (): Scalar[] => {
    const grain = [hour, minute, 5 * minute, 1][random(4)] ?? 1;
    const soldAt = startUs + Math.floor(random(6 * day) / grain) * grain;
    const lag =
      [0, 0, minute, 3 * hour, 36 * hour, 36 * hour + 1, -2 * minute, -5 * minute, -5 * minute - 1][random(9)] ?? 0;
    return [
      random(30) === 0 ? null : (shops[random(2) * random(shops.length)] ?? null),
      random(10) === 0 ? null : BigInt(random(3)),
      amount(),
      random(6) === 0 ? null : BigInt(random(9) - 4) * (random(10) === 0 ? 1_000_000_007n : 1n),
      random(6) === 0 ? null : (["x", "y", "Z", "𝄞", "é", ""][random(6)] ?? null),
      BigInt(soldAt),
      BigInt(soldAt + lag),
      random(6) === 0 ? null : [0, 1, 2].map(() => (random(12) === 0 ? null : Math.fround(random(100) / 7))),
    ];
  });
  return rows.flatMap((row) => (random(12) === 0 ? [row, row] : [row]));
}

/** Writes the rows as `sales.parquet` into a folder. */
export async function writeSales(folder: string, rows: readonly (readonly Scalar[])[]): Promise<void> {
  const instance = await DuckDBInstance.create(":memory:");
  const connection = await instance.connect();
  await connection.run(
    "CREATE TABLE sales (shop VARCHAR, customer BIGINT, amount DOUBLE, items BIGINT, label VARCHAR, sold_at TIMESTAMP, known_at TIMESTAMP, embedding FLOAT[])",
  );
  const appender = await connection.createAppender("sales");
  for (const row of rows) {
    row.forEach((value, column) => {
      if (value === null) appender.appendNull();
      else if (typeof value === "string") appender.appendVarchar(value);
      else if (typeof value === "number") appender.appendDouble(value);
      else if (Array.isArray(value)) appender.appendList(listValue(value), LIST(FLOAT));
      else if (typeof value !== "bigint") throw new TypeError(String(value));
      else if (column >= 5) appender.appendTimestamp(new DuckDBTimestampValue(value));
      else appender.appendBigInt(value);
    });
    appender.endRow();
  }
  appender.closeSync();
  await connection.run(`COPY sales TO '${join(folder, "sales.parquet")}' (FORMAT parquet)`);
  connection.closeSync();
  instance.closeSync();
}
