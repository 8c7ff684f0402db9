import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DuckDBInstance } from "@duckdb/node-api";
import { type BackingServer, hasBacking, startKafka, startRedis } from "@millrace/backing";
import { tableFromIPC } from "apache-arrow";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Arrival, arrivalColumns, arrivalsRepository } from "./arrivals-repository.ts";
import { type FeatureServingProcess, type ProcessStores, startFeatureServing } from "./feature-serving-process.ts";

const second = 1_000_000n;
const startUs = BigInt(Date.UTC(2001, 0, 1)) * 1000n;
const stepUs = 60n * second;
const endUs = startUs + 600n * stepUs;
const arrivals = Array.from({ length: 600 }, (_, index): Arrival => {
  const arrivedAtUs = startUs + BigInt(index) * stepUs;
  return {
    airport: `A${index % 4}`,
    carrier: BigInt(index % 3),
    delay: (index % 50) - 5,
    arrivedAtUs,
    receivedAtUs: arrivedAtUs,
  };
});

describe("the erasure of an entity", { timeout: 120_000 }, () => {
  describe("on LMDB and the embedded log", () => {
    erases(async (folder) => ({
      onlineStoreUrl: `lmdb:${folder}/online`,
      eventLogUrl: `log:${folder}/log`,
      dataRoot: folder,
    }));
  });

  describe.skipIf(!hasBacking("redis", "kafka"))("on Redis and Kafka", () => {
    let servers: BackingServer[] = [];
    afterAll(async () => {
      for (const server of servers) await server.remove();
    });
    erases(async (folder) => {
      servers = await Promise.all([startRedis(), startKafka()]);
      const [redis, kafka] = servers;
      return { onlineStoreUrl: redis?.url ?? "", eventLogUrl: kafka?.url ?? "", dataRoot: folder };
    });
  });
});

function erases(start: (folder: string) => Promise<ProcessStores>): void {
  const folder = mkdtempSync(join(tmpdir(), "erasure-"));
  const topic = `arrivals-${randomUUID()}`;
  let stores: ProcessStores;
  let service: FeatureServingProcess;
  let receiptId = "";

  beforeAll(async () => {
    await sql(
      `COPY (SELECT 'A' || (i % 4) AS airport, i % 3 AS carrier, ((i % 50) - 5)::DOUBLE AS delay, make_timestamp(${startUs} + i * ${stepUs}) AS arrived_at, make_timestamp(${startUs} + i * ${stepUs}) AS received_at FROM range(600) t(i)) TO '${folder}/arrivals.parquet' (FORMAT parquet)`,
    );
    stores = await start(folder);
    service = await startFeatureServing(stores);
    await service.client.apply({ repository: arrivalsRepository({ topic, parquet: "arrivals.parquet" }) });
    await service.client.push({ source: "arrivals", columns: arrivalColumns(arrivals), waitApplied: true });
  }, 120_000);
  afterAll(async () => {
    await service.stop();
    rmSync(folder, { recursive: true });
  });

  /** Status and value by feature, of one airport at a time. */
  const served = async (airport: string, atUs = endUs, maxStalenessMs = 0) => {
    const answer = await service.client.getFeatures({
      selection: {
        case: "references",
        value: { features: ["airport_delays.*", "airport_latest.delay", "carrier_delays.total_7d"] },
      },
      entities: [
        { name: "airport", values: { values: { case: "strings", value: { values: [airport] } } } },
        { name: "carrier", values: { values: { case: "int64s", value: { values: [1n] } } } },
      ],
      atUs: [atUs],
      maxStalenessMs,
    });
    return Object.fromEntries(
      answer.features.map(({ name, statuses, values }) => {
        const held = values?.values.value;
        const [value] = held !== undefined && "values" in held ? held.values : [];
        return [name, [statuses[0], typeof value === "bigint" ? Number(value) : value]];
      }),
    );
  };

  const gone = {
    airport_delays__mean_delay_1h: [3, 0],
    airport_delays__arrivals_24h: [3, 0],
    airport_delays__last_delay_24h: [3, 0],
    airport_latest__delay: [3, 0],
  };

  /** The rows of a training set, one an airport. */
  const trained = async () => {
    const parts: Uint8Array[] = [];
    for await (const { part } of service.client.getTrainingSet({
      selection: { case: "references", value: { features: ["airport_delays.*", "airport_latest.delay"] } },
      entityRows: {
        rows: {
          case: "query",
          value: {
            data: { case: "parquet", value: "arrivals.parquet" },
            columns: { event_time: `timestamp '2001-01-01 10:00:00'` },
            where: "arrived_at < timestamp '2001-01-01 00:04:00'",
          },
        },
      },
    })) {
      if (part.case === "arrow") parts.push(part.value);
    }
    const table = tableFromIPC(Buffer.concat(parts));
    return table.toArray().map((row: { toJSON(): Record<string, unknown> }) => row.toJSON());
  };

  test("removes its rows and hides its facts, and touches no other entity", async () => {
    const before = await served("A0");
    const carrier = before.carrier_delays__total_7d;
    expect(carrier?.[0]).toBe(1);
    expect((await served("A1", endUs, 60_000)).airport_delays__arrivals_24h).toEqual([1, 150]);
    const trainedBefore = await trained();
    const keys = { airport: { value: { case: "string" as const, value: "A1" } } };
    const receipt = await service.client.deleteEntity({ entity: "airport", keys, requestedBy: "ticket 7" });
    receiptId = receipt.receiptId;
    expect(receipt).toMatchObject({ onlineRows: 2n, logRecords: 150n });
    expect(receipt.outside).toEqual([
      "the files arrivals.parquet of the source arrivals",
      `the records of the topic ${topic}, which go with its retention`,
      `the records in the topic ${topic}.dead-letters, which go with its retention`,
    ]);
    expect(await served("A1")).toEqual({ ...gone, carrier_delays__total_7d: carrier });
    expect(await served("A1", endUs, 60_000)).toEqual({ ...gone, carrier_delays__total_7d: carrier });
    expect(await served("A0")).toEqual(before);
    const rows = await trained();
    expect(rows.length).toBe(4);
    for (const [index, row] of rows.entries()) {
      if (row.airport === "A1") {
        expect(row.airport_delays__mean_delay_1h).toBeNull();
        expect(row.airport_latest__delay).toBeNull();
        expect(Number(row.airport_delays__arrivals_24h)).toBe(0);
      } else {
        expect(row).toEqual(trainedBefore[index]);
      }
    }
  });

  test("says what still holds it, in whose hands that is, and that no row does", async () => {
    const { clean, found, scanned } = await service.client.verifyErasure({ receiptId });
    expect(clean).toBe(false);
    expect(found).toEqual([
      `the topic ${topic}: 150 records, hidden at every read until they expire`,
      "the batch data of the source arrivals: 150 rows, hidden in every training set",
    ]);
    expect(scanned.filter((place) => place.startsWith("the online rows"))).toHaveLength(2);
  });

  test("outlives a kill, a new version of its views that reads the topic again, and history", async () => {
    await service.kill();
    service = await startFeatureServing(stores);
    expect(await served("A1")).toMatchObject(gone);
    const changed = arrivalsRepository({ topic, parquet: "arrivals.parquet", window: "2h" });
    await service.client.apply({ repository: changed });
    for await (const _step of service.client.materialize({ view: "airport_delays" }));
    for await (const _step of service.client.materialize({ view: "airport_latest" }));
    await expect
      .poll(async () => (await service.client.listFeatureViews({})).featureViews.some(({ state }) => state === 2))
      .toBe(false);
    expect(await served("A1")).toMatchObject(gone);
    expect((await served("A0")).airport_delays__arrivals_24h).toEqual([1, 150]);
    expect((await service.client.verifyErasure({ receiptId })).found).toHaveLength(2);
  });

  test("lets what becomes known later count, and nothing of before", async () => {
    const nowUs = BigInt(Date.now()) * 1000n;
    const arrival = { airport: "A1", carrier: 1n, delay: 40, arrivedAtUs: nowUs, receivedAtUs: nowUs };
    await service.client.push({ source: "arrivals", columns: arrivalColumns([arrival]), waitApplied: true });
    expect(await served("A1", nowUs + second)).toMatchObject({
      airport_delays__arrivals_24h: [1, 1],
      airport_latest__delay: [1, 40],
    });
    expect((await service.client.verifyErasure({ receiptId })).found).toHaveLength(2);
  });

  test("refuses what names no entity, and never shows a key", async () => {
    const string = (value: string) => ({ value: { case: "string" as const, value } });
    const refusals = [
      [{ entity: "airports", keys: { airport: string("A1") } }, "NOT_FOUND"],
      [{ entity: "airport", keys: { city: string("secret") } }, "INVALID_ARGUMENT"],
      [
        { entity: "airport", keys: { airport: { value: { case: "int64" as const, value: 4711n } } } },
        "INVALID_ARGUMENT",
      ],
      [{ entity: "airport", keys: {} }, "INVALID_ARGUMENT"],
    ] as const;
    for (const [request, code] of refusals) {
      const error: unknown = await service.client.deleteEntity(request).catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({ code });
      expect(String(error)).not.toMatch(/secret|4711/);
    }
    await expect(service.client.verifyErasure({ receiptId: "none" })).rejects.toMatchObject({ code: "NOT_FOUND" });
  });
}

async function sql(statement: string): Promise<void> {
  const instance = await DuckDBInstance.create(":memory:");
  const connection = await instance.connect();
  await connection.run(statement);
  connection.closeSync();
  instance.closeSync();
}
