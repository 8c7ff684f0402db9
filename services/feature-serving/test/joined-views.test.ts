import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fromJson } from "@bufbuild/protobuf";
import { DuckDBInstance } from "@duckdb/node-api";
import { FeatureStatus } from "@millrace/contracts/millrace/feature/v1/column";
import { FeatureRepositorySchema } from "@millrace/contracts/millrace/feature/v1/feature_repository";
import {
  Float64,
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

const second = 1_000_000n;
const startUs = BigInt(Date.UTC(2001, 0, 1)) * 1000n;
const endUs = startUs + 12n * 3600n * second;

const field = (name: string, type: string) => ({ name, type });
const repository = fromJson(FeatureRepositorySchema, {
  entities: [
    { name: "airport", keys: [field("airport", "STRING")] },
    { name: "flight", keys: [field("flight", "STRING")] },
  ],
  sources: [
    {
      name: "arrivals",
      fields: [field("airport", "STRING"), field("delay", "DOUBLE"), field("at", "TIMESTAMP")],
      eventTime: "at",
      createdAt: "at",
      derived: [{ name: "code", expression: "upper(airport)" }],
      batch: { parquet: "arrivals.parquet" },
      stream: { topic: "arrivals", format: "JSON" },
    },
    {
      name: "flights",
      fields: [field("flight", "STRING"), field("origin", "STRING"), field("at", "TIMESTAMP")],
      eventTime: "at",
      createdAt: "at",
      batch: { parquet: "flights.parquet" },
      stream: { topic: "flights", format: "JSON" },
    },
  ],
  featureViews: [
    {
      name: "airport_delays",
      entity: "airport",
      entityColumns: { airport: "code" },
      source: "arrivals",
      aggregates: [
        { name: "mean_24h", function: "MEAN", of: "delay", window: "24h" },
        { name: "count_24h", function: "COUNT", window: "24h" },
      ],
    },
    { name: "flight", entity: "flight", source: "flights", features: [{ name: "origin" }], ttl: "6h" },
  ],
  joinedViews: [
    { name: "origin_delays", view: "airport_delays", keys: { airport: "flight.origin" } },
    { name: "destination_delays", view: "airport_delays", keys: { airport: "destination" } },
  ],
  onDemandViews: [
    {
      name: "difference",
      inputs: ["origin_delays.mean_24h", "destination_delays.mean_24h"],
      features: [{ name: "delay", expression: "origin_delays__mean_24h - destination_delays__mean_24h" }],
    },
    {
      name: "verdict",
      request: [{ name: "limit", type: "DOUBLE" }],
      inputs: ["difference.delay", "origin_delays.count_24h"],
      features: [
        { name: "over", expression: 'abs(difference__delay) > "limit"' },
        { name: "weight", expression: "coalesce(difference__delay, 0.0) * origin_delays__count_24h" },
      ],
    },
  ],
  featureServices: [
    {
      name: "v1",
      features: ["flight.origin", "origin_delays.*", "destination_delays.*", "verdict.*", "difference.delay"],
    },
  ],
});

const arrivals = Array.from({ length: 300 }, (_, index) => ({
  airport: `${index % 2 === 0 ? "a" : "A"}${index % 3}`,
  delay: ((index * 37) % 101) - 20.5,
  at: startUs + BigInt(index) * 120n * second,
}));
const hour = 3600n * second;
const flights = [
  { flight: "f0", origin: "A0", at: endUs - 5n * hour },
  // It was moved to another airport.
  { flight: "f1", origin: "A0", at: endUs - 5n * hour },
  { flight: "f1", origin: "A1", at: endUs - 2n * hour },
  { flight: "f2", origin: null, at: endUs - 1n * hour },
  { flight: "f3", origin: "nowhere", at: endUs - 1n * hour },
  { flight: "f4", origin: "A2", at: endUs - 7n * hour },
];
const asked = ["f0", "f1", "f2", "f3", "f4", "unknown"];
const limits = [0, 1, 2, 3, 4, 5];
const destinations = ["A2", "A2", "A0", "nowhere", "A1", "A0"];

describe("joined views", { timeout: 120_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), "joined-views-"));
  let service: FeatureServingProcess;

  beforeAll(async () => {
    const instance = await DuckDBInstance.create(":memory:");
    const connection = await instance.connect();
    const text = (value: string | null) => (value === null ? "NULL" : `'${value}'`);
    const write = (file: string, select: string) =>
      connection.run(`COPY (${select}) TO '${join(folder, file)}' (FORMAT parquet)`);
    const times = (at: bigint) => `make_timestamp(${at})`;
    const arrived = arrivals.map(({ airport, delay, at }) => `(${text(airport)}, ${delay}::DOUBLE, ${times(at)})`);
    await write("arrivals.parquet", `SELECT * FROM (VALUES ${arrived.join(", ")}) t(airport, delay, "at")`);
    const flown = flights.map(({ flight, origin, at }) => `(${text(flight)}, ${text(origin)}::VARCHAR, ${times(at)})`);
    await write("flights.parquet", `SELECT * FROM (VALUES ${flown.join(", ")}) t(flight, origin, "at")`);
    connection.closeSync();
    instance.closeSync();
    const stores = { onlineStoreUrl: `lmdb:${folder}/online`, eventLogUrl: `log:${folder}/log`, dataRoot: folder };
    service = await startFeatureServing(stores);
    await service.client.apply({ repository });
    const strings = (name: string, values: (string | null)[]) => ({
      name,
      values: { values: { case: "strings" as const, value: { values: values.map((value) => value ?? "") } } },
      nulls: Uint8Array.from(values, (value) => (value === null ? 1 : 0)),
    });
    const instants = (valuesUs: bigint[]) => ({
      name: "at",
      values: { values: { case: "timestamps" as const, value: { valuesUs } } },
    });
    await service.client.push({
      source: "arrivals",
      waitApplied: true,
      columns: [
        strings(
          "airport",
          arrivals.map(({ airport }) => airport),
        ),
        {
          name: "delay",
          values: { values: { case: "doubles", value: { values: arrivals.map(({ delay }) => delay) } } },
        },
        instants(arrivals.map(({ at }) => at)),
      ],
    });
    await service.client.push({
      source: "flights",
      waitApplied: true,
      columns: [
        strings(
          "flight",
          flights.map(({ flight }) => flight),
        ),
        strings(
          "origin",
          flights.map(({ origin }) => origin),
        ),
        instants(flights.map(({ at }) => at)),
      ],
    });
  }, 60_000);
  afterAll(async () => {
    await service.stop();
    rmSync(folder, { recursive: true });
  });

  const column = (name: string, values: string[]) => ({
    name,
    values: { values: { case: "strings" as const, value: { values } } },
  });
  const served = async () => {
    const answer = await service.client.getFeatures({
      selection: { case: "featureService", value: "v1" },
      entities: [column("flight", asked), column("destination", destinations)],
      request: [{ name: "limit", values: { values: { case: "doubles", value: { values: limits } } } }],
      atUs: [endUs],
    });
    return new Map(
      answer.features.map(({ name, values, statuses }) => {
        const held = values?.values.value;
        const list: readonly unknown[] = held !== undefined && "values" in held ? held.values : [];
        return [name, { statuses: [...statuses], values: list }];
      }),
    );
  };

  test("say what a caller must send, and whose data they are", async () => {
    const { featureService } = await service.client.getFeatureService({ name: "v1" });
    expect(featureService?.entityKeys.map(({ name }) => name)).toEqual(
      expect.arrayContaining(["flight", "destination"]),
    );
    const origin = featureService?.features.find(({ name }) => name === "origin_delays__mean_24h");
    expect(origin).toMatchObject({ source: "arrivals" });
    expect(featureService?.features.find(({ name }) => name === "origin_delays__count_24h")?.neverNull).toBe(true);
  });

  test("are read by the key that the row has, and by the one that the caller sends", async () => {
    const features = await served();
    const direct = await service.client.getFeatures({
      selection: { case: "references", value: { features: ["airport_delays.mean_24h"] } },
      entities: [column("airport", ["A0", "A1", "A2"])],
      atUs: [endUs],
    });
    const held = direct.features[0]?.values?.values.value;
    const means = held !== undefined && "values" in held ? held.values : [];
    expect(features.get("origin_delays__mean_24h")?.values.slice(0, 2)).toEqual([means[0], means[1]]);
    expect(features.get("destination_delays__mean_24h")?.values.slice(0, 2)).toEqual([means[2], means[2]]);
  });

  test("find nothing for a key that is null, unknown, or in a row that is too old", async () => {
    const features = await served();
    const { NOT_FOUND, PRESENT } = FeatureStatus;
    const statuses = [PRESENT, PRESENT, NOT_FOUND, NOT_FOUND, NOT_FOUND, NOT_FOUND];
    expect(features.get("origin_delays__mean_24h")?.statuses).toEqual(statuses);
    expect(features.get("origin_delays__count_24h")?.values.slice(2)).toEqual([0n, 0n, 0n, 0n]);
  });

  test("are the same in a training set", async () => {
    const data = BigInt64Array.from(asked, () => endUs);
    const rows = new Table({
      flight: vectorFromArray(asked, new Utf8()),
      destination: vectorFromArray(destinations, new Utf8()),
      limit: vectorFromArray(limits, new Float64()),
      event_time: new Vector([makeData({ type: new TimestampMicrosecond("UTC"), data, length: data.length })]),
    });
    const parts: Uint8Array[] = [];
    for await (const { part } of service.client.getTrainingSet({
      selection: { case: "featureService", value: "v1" },
      entityRows: { rows: { case: "arrow", value: tableToIPC(rows, "stream") } },
    })) {
      if (part.case === "arrow") parts.push(part.value);
    }
    const table = tableFromIPC(Buffer.concat(parts));
    const features = await served();
    expect(features.size).toBe(8);
    for (const [name, { values, statuses }] of features) {
      asked.forEach((flight, row) => {
        const isKnown = statuses[row] === FeatureStatus.PRESENT || name.endsWith("count_24h");
        const online = isKnown ? values[row] : null;
        const offline: unknown = table.getChild(name)?.get(row) ?? null;
        if (typeof offline === "number") expect(online, `${name} of ${flight}`).toBeCloseTo(offline, 9);
        else expect(online, `${name} of ${flight}`).toEqual(offline);
      });
    }
  });
});
