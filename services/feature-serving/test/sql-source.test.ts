import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type BackingServer, hasBacking, startPostgres } from "@millrace/backing";
import { Client } from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { arrivalsRepository } from "./arrivals-repository.ts";
import { type FeatureServingProcess, startFeatureServing } from "./feature-serving-process.ts";

const folder = mkdtempSync(join(tmpdir(), "feature-serving-sql-"));
const stores = { onlineStoreUrl: `lmdb:${folder}/online`, eventLogUrl: `log:${folder}/log`, dataRoot: folder };
const repository = arrivalsRepository({
  sql: "SELECT airport, carrier, delay, arrived_at, received_at FROM arrivals WHERE airport <> 'nowhere'",
});
// Just after the newest arrival, the time for which verification draws its entities.
const end = { ...timestampFromMs(Date.UTC(2001, 0, 7, 23, 59, 30)), nanos: 1000 };

describe.skipIf(!hasBacking("postgres"))("a source in PostgreSQL", { timeout: 120_000 }, () => {
  let server: BackingServer;
  let service: FeatureServingProcess;

  beforeAll(async () => {
    server = await startPostgres();
    await change(`
      CREATE TABLE arrivals AS SELECT 'A' || i % 7 AS airport, i % 3 AS carrier, (i * 37) % 101 - 20.5 AS delay,
        '2001-01-01'::timestamptz + i * interval '30 seconds' AS arrived_at,
        '2001-01-01'::timestamptz + i * interval '30 seconds' AS received_at FROM generate_series(0, 20159) i;
      ANALYZE arrivals`);
    const connections = join(folder, "connections");
    writeFileSync(connections, `warehouse=${server.url}`);
    service = await startFeatureServing(stores, ["--sql-connections-file", connections]);
  }, 60_000);
  afterAll(async () => {
    await service.stop();
    await server.remove();
    rmSync(folder, { recursive: true });
  });

  const change = async (sql: string): Promise<void> => {
    const client = new Client({ connectionString: server.url });
    await client.connect();
    await client.query(sql);
    await client.end();
  };

  const materialize = async (view: string) => {
    let last: { rows: bigint; keys: bigint; done: boolean } | undefined;
    for await (const progress of service.client.materialize({ view, to: end })) last = progress;
    return last;
  };

  test("is planned with the rows that the database expects, and loaded", async () => {
    const { changes } = await service.client.plan({ repository });
    const backfills = changes.filter(({ needsBackfill }) => needsBackfill);
    expect(backfills.map(({ backfillRows }) => Number(backfillRows))).toEqual(
      backfills.map(() => expect.closeTo(20_160, -3)),
    );
    await service.client.apply({ repository });
    expect(await materialize("airport_delays")).toMatchObject({ done: true, keys: 7n });
    expect(await materialize("carrier_delays")).toMatchObject({ done: true, keys: 3n });
    expect(await materialize("airport_latest")).toMatchObject({ done: true, keys: 7n });
  });

  test("is loaded again without counting twice, where the table has got newer rows meanwhile", async () => {
    const served = async () => {
      const { features } = await service.client.getFeatures({
        selection: { case: "references", value: { features: ["airport_delays.arrivals_24h"] } },
        entities: [{ name: "airport", values: { values: { case: "strings", value: { values: ["A0"] } } } }],
        atUs: [BigInt(Date.UTC(2001, 0, 8)) * 1000n],
      });
      return features[0]?.values?.values.value;
    };
    const before = await served();
    await change("INSERT INTO arrivals VALUES ('A0', 1, 5, '2001-01-09', '2001-01-09')");
    expect(await materialize("airport_delays")).toMatchObject({ done: true });
    expect(await served()).toEqual(before);
    await change("INSERT INTO arrivals VALUES ('A0', 1, 5, '2001-01-07', '2001-01-07')");
    await expect(materialize("airport_delays")).rejects.toMatchObject({
      code: "FAILED_PRECONDITION",
      message: expect.stringContaining("the data has changed since"),
    });
    await change("DELETE FROM arrivals WHERE arrived_at IN ('2001-01-07', '2001-01-09') AND delay = 5");
  });

  test("serves what the query gives, by verification", async () => {
    let summary: { rows: bigint; features: readonly { compared: bigint; mismatched: bigint }[] } | undefined;
    for await (const { part } of service.client.verifyFeatures({
      featureService: "delay_v1",
      entities: 20,
      seed: 7n,
    })) {
      expect(part.case).not.toBe("mismatch");
      if (part.case === "summary") summary = part.value;
    }
    expect(summary?.rows).toBe(7n);
    for (const { compared, mismatched } of summary?.features ?? []) {
      expect({ compared, mismatched }).toEqual({ compared: 7n, mismatched: 0n });
    }
  });

  test("is not available while the database is away, and serving goes on", async () => {
    await server.stop();
    const verifying = (async () => {
      for await (const _part of service.client.verifyFeatures({ featureService: "delay_v1" }));
    })();
    await expect(verifying).rejects.toMatchObject({ code: "UNAVAILABLE", reason: "STORE_UNAVAILABLE" });
    const { changes } = await service.client.plan({
      repository: arrivalsRepository({ sql: "SELECT * FROM arrivals", window: "2h" }),
    });
    expect(changes.find(({ needsBackfill }) => needsBackfill)?.detail).toContain(
      "The database of the SQL connection warehouse is not available",
    );
    await server.start();
  });
});
