import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fromJson } from "@bufbuild/protobuf";
import { DuckDBInstance, DuckDBTimestampValue } from "@duckdb/node-api";
import { ServingService } from "@millrace/contracts/feast/serving/ServingService";
import { FeatureStatus } from "@millrace/contracts/millrace/feature/v1/column";
import { FeatureRepositorySchema } from "@millrace/contracts/millrace/feature/v1/feature_repository";
import { AsOf } from "@millrace/contracts/millrace/feature/v1/feature_service";
import { createClient, openChannel } from "@millrace/grpc";
import {
  Int32,
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
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type FeatureServingProcess, startFeatureServing } from "./feature-serving-process.ts";

/*
 * Defects that were found in other feature stores, each a test that holds in the running service. Those of the offline
 * path and of the stream alone are in `libs/feature-definition/src/what-others-get-wrong.test.ts`.
 */

const folder = mkdtempSync(join(tmpdir(), "what-others-get-wrong-"));
const stores = { onlineStoreUrl: `lmdb:${folder}/online`, eventLogUrl: `log:${folder}/log`, dataRoot: folder };
const minute = 60_000_000n;
const day = 24 * 60;
const startUs = BigInt(Date.UTC(2001, 0, 15, 12)) * 1000n;
const nowUs = BigInt(Date.now()) * 1000n;

interface Sale {
  readonly shop: string;
  readonly customer?: bigint;
  readonly amount: number | null;
  /** Minutes from a fixed start; or from now, where it is below 0. */
  readonly at: number;
  readonly knownAt?: number;
}

const timeOf = (minutes: number): bigint => (minutes < 0 ? nowUs : startUs) + BigInt(minutes) * minute;

/** In the order in which they arrive: the last three come late, as a correction, and out of order. */
const sales: readonly Sale[] = [
  { shop: "tiles", amount: 5, at: 0 },
  { shop: "tiles", amount: 3, at: 6 },
  { shop: "tiles", amount: 4, at: 8 },
  { shop: "1", customer: 23n, amount: 1, at: 0 },
  { shop: "12", customer: 3n, amount: 2, at: 0 },
  { shop: "old", amount: 6, at: 0 },
  { shop: "recent", customer: 7n, amount: 7, at: -10 },
  { shop: "null", amount: null, at: -10 },
  { shop: "late", amount: 1, at: 0 },
  { shop: "late", amount: 2, at: 3 * day },
  { shop: "corrected", amount: 1, at: 0 },
  { shop: "order", amount: 2, at: 10 },
  { shop: "late", amount: 9, at: 3 * day - 30, knownAt: 3 * day + 10 },
  { shop: "corrected", amount: 99, at: 0, knownAt: 120 },
  { shop: "order", amount: 1, at: 0, knownAt: 40 },
];

const repository = fromJson(FeatureRepositorySchema, {
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
        { name: "sold_at", type: "TIMESTAMP" },
        { name: "known_at", type: "TIMESTAMP" },
      ],
      eventTime: "sold_at",
      createdAt: "known_at",
      batch: { parquet: "sales.parquet" },
      stream: { topic: "sales", format: "JSON" },
    },
  ],
  featureViews: [
    {
      name: "windows",
      entity: "shop",
      source: "sales",
      aggregates: ["MAX", "MIN", "STDDEV"].map((name) => ({
        name: name.toLowerCase(),
        function: name,
        of: "amount",
        window: "10m",
      })),
    },
    {
      name: "week",
      entity: "shop",
      source: "sales",
      aggregates: [
        { name: "count", function: "COUNT", window: "7d" },
        { name: "total", function: "SUM", of: "amount", window: "7d" },
      ],
    },
    { name: "latest", entity: "shop", source: "sales", features: [{ name: "amount" }] },
    { name: "fresh", entity: "shop", source: "sales", ttl: "1h", features: [{ name: "amount" }] },
    { name: "visit", entity: "visitor", source: "sales", features: [{ name: "amount" }] },
  ],
  featureServices: [{ name: "all", features: ["windows.*", "week.*", "latest.*", "fresh.*", "visit.*"] }],
});

async function writeParquet(): Promise<void> {
  const instance = await DuckDBInstance.create(":memory:");
  const connection = await instance.connect();
  await connection.run(
    "CREATE TABLE sales (shop VARCHAR, customer BIGINT, amount DOUBLE, sold_at TIMESTAMP, known_at TIMESTAMP)",
  );
  const appender = await connection.createAppender("sales");
  for (const { shop, customer, amount, at, knownAt } of sales) {
    appender.appendVarchar(shop);
    if (customer === undefined) appender.appendNull();
    else appender.appendBigInt(customer);
    if (amount === null) appender.appendNull();
    else appender.appendDouble(amount);
    appender.appendTimestamp(new DuckDBTimestampValue(timeOf(at)));
    appender.appendTimestamp(new DuckDBTimestampValue(timeOf(knownAt ?? at)));
    appender.endRow();
  }
  appender.closeSync();
  await connection.run(`COPY sales TO '${join(folder, "sales.parquet")}' (FORMAT parquet)`);
  connection.closeSync();
  instance.closeSync();
}

const strings = (name: string, values: readonly string[]) => ({
  name,
  values: { values: { case: "strings" as const, value: { values: [...values] } } },
});
const instants = (name: string, values: readonly bigint[]) => ({
  name,
  values: { values: { case: "timestamps" as const, value: { valuesUs: [...values] } } },
});

interface Ask {
  readonly shop: string;
  readonly customer?: bigint;
  readonly at: number;
}

describe("the running service", { timeout: 60_000 }, () => {
  let service: FeatureServingProcess;

  beforeAll(async () => {
    await writeParquet();
    service = await startFeatureServing(stores);
    await service.client.apply({ repository });
    for (const { shop, customer, amount, at, knownAt } of sales) {
      await service.client.push({
        source: "sales",
        columns: [
          strings("shop", [shop]),
          {
            name: "customer",
            values: { values: { case: "int64s", value: { values: [customer ?? 0n] } } },
            nulls: Uint8Array.of(customer === undefined ? 1 : 0),
          },
          {
            name: "amount",
            values: { values: { case: "doubles", value: { values: [amount ?? 0] } } },
            nulls: Uint8Array.of(amount === null ? 1 : 0),
          },
          instants("sold_at", [timeOf(at)]),
          instants("known_at", [timeOf(knownAt ?? at)]),
        ],
        waitApplied: true,
      });
    }
  }, 60_000);
  afterAll(async () => {
    await service.stop();
    rmSync(folder, { recursive: true });
  });

  /** Values by feature; null where the status withholds them. */
  const served = async (
    features: readonly string[],
    asks: readonly Ask[],
    more: { withExpiredValues?: boolean } = {},
  ) => {
    const answer = await service.client.getFeatures({
      selection: { case: "references", value: { features: [...features] } },
      entities: [
        strings(
          "shop",
          asks.map(({ shop }) => shop),
        ),
        {
          name: "customer",
          values: { values: { case: "int64s", value: { values: asks.map(({ customer }) => customer ?? 0n) } } },
        },
      ],
      atUs: asks.map(({ at }) => timeOf(at)),
      ...more,
    });
    return answer.features.map(({ values, statuses }) => {
      const held: unknown = Reflect.get(values?.values.value ?? {}, "values");
      const list: readonly unknown[] = Array.isArray(held) ? held : [];
      return {
        values: list.map((value, row) =>
          statuses[row] === FeatureStatus.PRESENT || typeof value === "bigint" ? value : null,
        ),
        raw: list,
        statuses: [...statuses],
      };
    });
  };

  const trainingSet = async (asks: readonly Ask[], asOf = AsOf.EVENT_TIME as AsOf, keys: "32" | "64" = "64") => {
    const data = BigInt64Array.from(asks, ({ at }) => timeOf(at));
    const rows = new Table({
      note: vectorFromArray(
        asks.map((_, index) => String(index)),
        new Utf8(),
      ),
      shop: vectorFromArray(
        asks.map(({ shop }) => shop),
        new Utf8(),
      ),
      customer:
        keys === "64"
          ? vectorFromArray(
              asks.map(({ customer }) => customer ?? null),
              new Int64(),
            )
          : vectorFromArray(
              asks.map(({ customer }) => (customer === undefined ? null : Number(customer))),
              new Int32(),
            ),
      event_time: new Vector([makeData({ type: new TimestampMicrosecond("UTC"), data, length: data.length })]),
    });
    const parts: Uint8Array[] = [];
    for await (const { part } of service.client.getTrainingSet({
      selection: { case: "featureService", value: "all" },
      entityRows: { rows: { case: "arrow", value: tableToIPC(rows, "stream") } },
      asOf,
    })) {
      if (part.case === "arrow") parts.push(part.value);
    }
    const table = tableFromIPC(Buffer.concat(parts));
    return (name: string): unknown[] => [...(table.getChild(name) ?? [])];
  };

  test("rows of a training set lost or multiplied: rows out are rows in, in order", async () => {
    const asks: Ask[] = [
      { shop: "tiles", at: 9 },
      { shop: "tiles", at: 9 },
      { shop: "nobody", at: 9 },
      { shop: "old", at: 500 },
      { shop: "12", customer: 3n, at: 9 },
      { shop: "1", customer: 23n, at: 9 },
      { shop: "1", customer: 3n, at: 9 },
    ];
    const column = await trainingSet(asks);
    expect(column("note")).toEqual(asks.map((_, index) => String(index)));
    expect(column("fresh__amount")).toEqual([4, 4, null, null, 2, 1, 1]);
    expect(column("visit__amount")).toEqual([null, null, null, null, 2, 1, null]);
    const [visit] = await served(["visit.amount"], asks);
    expect(visit?.values).toEqual(column("visit__amount"));
  });

  test("max, min and standard deviation from cumulative tiles: an expired window keeps nothing", async () => {
    const asks = [9, 15, 30].map((at) => ({ shop: "tiles", at }));
    const expected = [
      [5, 4, null],
      [3, 3, null],
      [1, Math.sqrt(0.5), null],
    ];
    expect((await served(["windows.*"], asks)).map(({ values }) => values)).toEqual(expected);
    const column = await trainingSet(asks);
    expect(["windows__max", "windows__min", "windows__stddev"].map(column)).toEqual(expected);
  });

  test("ttl ignored online: the value is withheld unless it is asked for", async () => {
    const asks = [60, 61].map((at) => ({ shop: "old", at }));
    const [fresh] = await served(["fresh.amount"], asks);
    expect(fresh).toMatchObject({
      values: [6, null],
      raw: [6, 0],
      statuses: [FeatureStatus.PRESENT, FeatureStatus.OUTSIDE_MAX_AGE],
    });
    const [shown] = await served(["fresh.amount"], asks, { withExpiredValues: true });
    expect(shown).toMatchObject({ raw: [6, 6], statuses: fresh?.statuses });
    expect((await trainingSet(asks))("fresh__amount")).toEqual([6, null]);
  });

  test("late rows never reach the online store: a late fact patches its tile", async () => {
    const asks = [{ shop: "late", at: 3 * day + 20 }];
    const [count, total] = await served(["week.*"], asks);
    expect([count?.values, total?.values]).toEqual([[3n], [12]]);
    const column = await trainingSet(asks);
    expect([column("week__count"), column("week__total")]).toEqual([[3n], [12]]);
  });

  test("a correction written later leaks into training: known-at training has what was served", async () => {
    const asks = [60, 130].map((at) => ({ shop: "corrected", at }));
    expect((await trainingSet(asks, AsOf.KNOWN_AT))("latest__amount")).toEqual([1, 99]);
    expect((await trainingSet(asks))("latest__amount")).toEqual([99, 99]);
    const [latest] = await served(["latest.amount"], asks.slice(1));
    expect(latest?.values).toEqual([99]);
  });

  test("INT32 and INT64 keys do not meet: they do, in training sets and for Feast's clients", async () => {
    const asks = [{ shop: "recent", customer: 7n, at: -1 }];
    for (const keys of ["32", "64"] as const) {
      expect((await trainingSet(asks, AsOf.EVENT_TIME, keys))("visit__amount"), keys).toEqual([7]);
    }
    const channel = openChannel(service.address);
    const feast = createClient(ServingService, channel);
    for (const customer of [
      { case: "int32Val" as const, value: 7 },
      { case: "int64Val" as const, value: 7n },
    ]) {
      const answer = await feast.getOnlineFeatures({
        kind: { case: "features", value: { val: ["visit:amount"] } },
        entities: {
          shop: { val: [{ val: { case: "stringVal", value: "recent" } }] },
          customer: { val: [{ val: customer }] },
        },
      });
      expect(answer.results.at(-1)?.values[0]?.val, customer.case).toEqual({ case: "doubleVal", value: 7 });
    }
    channel.close();
  });

  test("statuses differ by server: the four words are the same for Feast's clients", async () => {
    const shops = ["recent", "null", "nobody", "old"];
    const answer = await service.client.getFeatures({
      selection: { case: "references", value: { features: ["fresh.amount"] } },
      entities: [strings("shop", shops)],
    });
    const { PRESENT, NULL_VALUE, NOT_FOUND, OUTSIDE_MAX_AGE } = FeatureStatus;
    expect([...(answer.features[0]?.statuses ?? [])]).toEqual([PRESENT, NULL_VALUE, NOT_FOUND, OUTSIDE_MAX_AGE]);
    const channel = openChannel(service.address);
    const feast = await createClient(ServingService, channel).getOnlineFeatures({
      kind: { case: "features", value: { val: ["fresh:amount"] } },
      entities: { shop: { val: shops.map((value) => ({ val: { case: "stringVal" as const, value } })) } },
    });
    channel.close();
    // Feast's numbers for these words are ours.
    expect(feast.results.at(-1)?.statuses).toEqual([PRESENT, NULL_VALUE, NOT_FOUND, OUTSIDE_MAX_AGE]);
    expect(feast.results.at(-1)?.values.map(({ val }) => val.value)).toEqual([7, undefined, undefined, undefined]);
  });

  test("out-of-order writes overwrite newer rows: the older never wins", async () => {
    const asks = [{ shop: "order", at: 50 }];
    const [latest] = await served(["latest.amount"], asks);
    expect(latest?.values).toEqual([2]);
    expect((await trainingSet(asks))("latest__amount")).toEqual([2]);
  });
});
