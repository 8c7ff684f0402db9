import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fromJson, type JsonObject } from "@bufbuild/protobuf";
import { DuckDBInstance, DuckDBTimestampValue } from "@duckdb/node-api";
import { FeatureRepositorySchema } from "@millrace/contracts/millrace/feature/v1/feature_repository";
import { AsOf } from "@millrace/contracts/millrace/feature/v1/feature_service";
import {
  Int64,
  makeData,
  Table,
  TimestampMicrosecond,
  tableFromIPC,
  tableToIPC,
  Utf8,
  Vector,
  vectorFromArray,
} from "apache-arrow";
import { afterAll, describe, expect, test } from "vitest";
import { compileRepository } from "../compile-repository.ts";
import type { CompiledRepository, CompiledView, Scalar } from "../compiled.ts";
import { trainingSet } from "../duckdb/index.ts";
import { createViewStream } from "./create-view-stream.ts";
import { encodeEntityKey } from "./entity-key.ts";
import { countsIn } from "./event-filter.ts";
import type { SourceEvent } from "./source-event.ts";
import { SourceRecordReader } from "./source-record.ts";
import { referenceValues } from "./view-stream.reference.ts";
import { writeSourceRecord } from "./write-source-record.ts";

const minute = 60_000_000;
const hour = 60 * minute;
const day = 24 * hour;
const startUs = Date.UTC(2001, 0, 10) * 1000;
const seed = Number(process.env.MILLRACE_SEED ?? Math.floor(Math.random() * 2 ** 31));
const folder = mkdtempSync(join(tmpdir(), "equal-paths-"));
afterAll(() => rmSync(folder, { recursive: true }));

const sketches = [
  { function: "LAST_N", n: 3 },
  { function: "APPROX_PERCENTILE", percentile: 0.5 },
  { function: "APPROX_PERCENTILE", percentile: 0.95 },
];
const functions = ["COUNT", "SUM", "MEAN", "MIN", "MAX", "LAST", "FIRST", "STDDEV", "VARIANCE"];
const windows = ["30m", "1h", "13h", "3d", "14d"];

/** Every function over floats and integers and, where it can, text, over windows of every hop, for one and for two keys. */
function repository(): CompiledRepository {
  const inputs = [
    { of: "amount", functions },
    { of: "items", functions },
    { of: "label", functions: ["COUNT", "MIN", "MAX", "LAST", "FIRST"] },
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
    ...["amount", "items"].flatMap((of, i) =>
      sketches.map((sketch, s) => ({ name: `sketch_${i}_${s}_${w}`, of, window, ...sketch })),
    ),
    { name: `last_labels_${w}`, function: "LAST_N", n: 2, of: "label", window },
    { name: `labels_${w}`, function: "DISTINCT_COUNT", of: "label", window },
    { name: `distinct_items_${w}`, function: "DISTINCT_COUNT", of: "items", window },
  ]);
  return compileRepository(
    fromJson(FeatureRepositorySchema, {
      entities: [
        { name: "shop", keys: [{ name: "shop", type: "STRING" }] },
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
          ],
          eventTime: "sold_at",
          createdAt: "known_at",
          allowedLateness: "36h",
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
          aggregates: aggregates.slice(0, 40),
        },
        {
          name: "last_sale",
          entity: "shop",
          source: "sales",
          ttl: "5h",
          features: [
            { name: "amount", type: "DOUBLE" },
            { name: "label", type: "STRING" },
          ],
        },
      ],
      featureServices: [{ name: "all", features: ["by_shop.*", "by_visitor.*", "last_sale.*"] }],
    }),
  );
}

function seeded(start: number): (below: number) => number {
  let state = start >>> 0;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

const shops = ["a", "b", "å1", "1", "12"];

/** Sums in which large values cancel are judged by the largest value. */
const largest = 1e10;

/** Ties, duplicates, late and too late ones, ones from the near and the far future, nulls, null keys; in random order. */
function randomRows(random: (below: number) => number, count: number, isLarge: boolean): Scalar[][] {
  const rows = Array.from({ length: count }, (): Scalar[] => {
    const grain = [hour, minute, 5 * minute, 1][random(4)] ?? 1;
    const soldAt = startUs + Math.floor(random(6 * day) / grain) * grain;
    const lag =
      [0, 0, minute, 3 * hour, 36 * hour, 36 * hour + 1, -2 * minute, -5 * minute, -5 * minute - 1][random(9)] ?? 0;
    return [
      random(30) === 0 ? null : (shops[random(shops.length)] ?? null),
      random(10) === 0 ? null : BigInt(random(3)),
      random(6) === 0 ? null : isLarge && random(7) === 0 ? (random(2000) - 1000) * 1e7 + 0.37 : random(400) / 7 - 20,
      random(6) === 0 ? null : BigInt(random(9) - 4) * (random(10) === 0 ? 1_000_000_007n : 1n),
      random(6) === 0 ? null : (["x", "y", "Z", "𝄞", "é", ""][random(6)] ?? null),
      BigInt(soldAt),
      BigInt(soldAt + lag),
    ];
  });
  return rows.flatMap((row) => (random(12) === 0 ? [row, row] : [row]));
}

async function writeParquet(rows: readonly (readonly Scalar[])[]): Promise<void> {
  const instance = await DuckDBInstance.create(":memory:");
  const connection = await instance.connect();
  await connection.run(
    "CREATE TABLE sales (shop VARCHAR, customer BIGINT, amount DOUBLE, items BIGINT, label VARCHAR, sold_at TIMESTAMP, known_at TIMESTAMP)",
  );
  const appender = await connection.createAppender("sales");
  for (const row of rows) {
    row.forEach((value, column) => {
      if (value === null) appender.appendNull();
      else if (typeof value === "string") appender.appendVarchar(value);
      else if (typeof value === "number") appender.appendDouble(value);
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

interface Ask {
  readonly shop: string;
  readonly customer: bigint;
  readonly atUs: number;
}

/** The SQL path. */
async function offline(compiled: CompiledRepository, asks: readonly Ask[], asOf: AsOf): Promise<Table> {
  const service = compiled.services.get("all");
  if (service === undefined) throw new Error("the service is missing");
  const data = BigInt64Array.from(asks, ({ atUs }) => BigInt(atUs));
  const rows = new Table({
    shop: vectorFromArray(
      asks.map(({ shop }) => shop),
      new Utf8(),
    ),
    customer: vectorFromArray(
      asks.map(({ customer }) => customer),
      new Int64(),
    ),
    event_time: new Vector([makeData({ type: new TimestampMicrosecond("UTC"), data, length: data.length })]),
  });
  const entityRows = { arrow: tableToIPC(rows, "stream") };
  const parts: Uint8Array[] = [];
  for await (const part of trainingSet({ repository: compiled, service, entityRows, asOf, dataRoot: folder })) {
    if (part.kind === "arrow") parts.push(part.bytes);
  }
  return tableFromIPC(Buffer.concat(parts));
}

/** The events of a source as the stream path reads them, those that are refused left out. */
function readEvents(compiled: CompiledRepository, rows: readonly (readonly Scalar[])[]): SourceEvent[] {
  const source = compiled.sources.get("sales");
  if (source === undefined) throw new Error("the source is missing");
  const reader = new SourceRecordReader(source);
  return rows.flatMap((row, offset) => {
    const read = reader.read(writeSourceRecord(source, row), 0);
    return "reason" in read ? [] : [{ ...read, partition: 0, offset, origin: 1 }];
  });
}

function keyOf(view: CompiledView, shop: Scalar, customer: Scalar): string {
  const key = encodeEntityKey(view.entity, view.entity.name === "shop" ? [shop] : [shop, customer]);
  return key === undefined ? "" : Buffer.from(key).toString("latin1");
}

function ofKey(view: CompiledView, events: readonly SourceEvent[], { shop, customer }: Ask): SourceEvent[] {
  const wanted = keyOf(view, shop, customer);
  return events.filter(({ row }) => keyOf(view, row[0] ?? null, row[1] ?? null) === wanted && countsIn(view, row));
}

/** Folds in small batches, with repetitions, through the bytes of the row. */
function foldInBatches(view: CompiledView, events: readonly SourceEvent[], random: (below: number) => number) {
  const stream = createViewStream(view);
  let row: Uint8Array | undefined;
  for (let at = 0; at < events.length; ) {
    const batch = events.slice(Math.max(0, at - random(5)), at + 1 + random(15));
    row = stream.fold(row, batch) ?? row;
    at = events.indexOf(batch.at(-1) as SourceEvent) + 1;
  }
  return { stream, row };
}

/** Doubles to 1e-9 of the largest sum that stands behind them. */
function expectEqual(name: string, got: Scalar, expected: Scalar, scale: number): void {
  if (typeof expected === "number" && typeof got === "number" && !Number.isNaN(expected)) {
    expect(
      Math.abs(got - expected) <= 1e-9 * Math.max(1, Math.abs(expected), scale),
      `${name}: ${got}, ${expected}`,
    ).toBe(true);
  } else expect(got, name).toEqual(expected);
}

const scaleOf = (feature: string, isLarge: boolean): number => {
  const integers = /_1_/.test(feature) ? 1e9 : 0;
  const scale = isLarge ? largest : integers;
  if (/^(sum|mean|stddev)_/.test(feature)) return scale;
  return /^variance_/.test(feature) ? scale * scale : 0;
};

const scalarOf = (value: unknown): Scalar => {
  if (value instanceof Vector) return Array.from(value as Iterable<Scalar>, scalarOf);
  return value === undefined ? null : (value as Scalar);
};

describe(`a feature has one value (seed ${seed})`, { timeout: 120_000 }, () => {
  const compiled = repository();
  const views = [...compiled.views.values()];
  const names = (view: CompiledView) => createViewStream(view).features.map(({ name }) => name);
  const rounds = [0, 1, 2];

  test.each(rounds)(
    "by SQL, by the stream, and by the naive reference, after all events came in any order (%i)",
    async (round) => {
      const random = seeded(seed + round);
      const rows = randomRows(random, 50 + random(500), round % 2 === 1);
      await writeParquet(rows);
      const events = readEvents(compiled, rows);
      const settled = Math.max(...events.map((event) => Math.min(event.eventTimeUs, event.createdAtUs)));
      const asks: Ask[] = Array.from({ length: 60 }, () => ({
        shop: [...shops, "nowhere"][random(6)] ?? "",
        customer: BigInt(random(4)),
        atUs: settled + (random(4) === 0 ? 0 : random(2) === 0 ? random(2 * hour) : random(9 * day)),
      }));
      const earlier = asks.map((ask) => ({ ...ask, atUs: startUs + Math.floor(random(7 * day) / minute) * minute }));
      const table = await offline(compiled, [...asks, ...earlier], AsOf.EVENT_TIME);
      for (const view of views) {
        const folded = new Map<string, ReturnType<typeof foldInBatches>>();
        [...asks, ...earlier].forEach((ask, index) => {
          const own = ofKey(view, events, ask);
          const expected = referenceValues(view, own, ask.atUs);
          const key = keyOf(view, ask.shop, ask.customer);
          const { stream, row } = folded.get(key) ?? foldInBatches(view, own, random);
          folded.set(key, { stream, row });
          const options = { nowUs: 0, withExpiredValues: false };
          const served = index < asks.length ? stream.serve(row, ask.atUs, options).values : undefined;
          names(view).forEach((name, feature) => {
            const label = `${view.name}.${name} of ${ask.shop} ${ask.customer} at ${ask.atUs}`;
            const wanted = expected[feature] ?? null;
            expectEqual(
              `SQL ${label}`,
              scalarOf(table.getChild(`${view.name}__${name}`)?.get(index)),
              wanted,
              scaleOf(name, round % 2 === 1),
            );
            if (served !== undefined)
              expectEqual(`stream ${label}`, served[feature] ?? null, wanted, scaleOf(name, round % 2 === 1));
          });
        });
      }
    },
  );

  test.each(rounds)("known-at SQL gives what the stream had answered at that time (%i)", async (round) => {
    const random = seeded(seed + 100 + round);
    const rows = randomRows(random, 50 + random(300), round % 2 === 1).sort((a, b) => Number(a[6]) - Number(b[6]));
    await writeParquet(rows);
    const events = readEvents(compiled, rows);
    const asks = Array.from({ length: 40 }, (): Ask => {
      const known = events[random(events.length)]?.createdAtUs ?? startUs;
      return { shop: shops[random(5)] ?? "", customer: BigInt(random(3)), atUs: known + random(2) * random(hour) };
    });
    const table = await offline(compiled, asks, AsOf.KNOWN_AT);
    for (const view of views) {
      asks.forEach((ask, index) => {
        const known = ofKey(view, events, ask).filter(({ createdAtUs }) => createdAtUs <= ask.atUs);
        const { stream, row } = foldInBatches(view, known, random);
        const served = stream.serve(row, ask.atUs, { nowUs: 0, withExpiredValues: false }).values;
        names(view).forEach((name, feature) => {
          const label = `${view.name}.${name} of ${ask.shop} ${ask.customer} at ${ask.atUs}`;
          const sql = scalarOf(table.getChild(`${view.name}__${name}`)?.get(index));
          expectEqual(label, served[feature] ?? null, sql, scaleOf(name, round % 2 === 1));
        });
      });
    }
  });
});
