import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { DuckDBInstance } from "@duckdb/node-api";
import { type BackingServer, hasBacking, startKafka, startRedis } from "@millrace/backing";
import { type EventLog, openEventLog } from "@millrace/event-log";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { arrivalsRepository } from "./arrivals-repository.ts";
import { type FeatureServingProcess, type ProcessStores, startFeatureServing } from "./feature-serving-process.ts";

const airports = 7;
const historyRows = 90_000;
const startUs = Date.UTC(2001, 0, 15) * 1000;
/** History is an arrival a second; live arrivals go on after it. */
const liveUs = startUs + historyRows * 1_000_000;
const liveArrivals = 4000;
const endUs = liveUs + liveArrivals * 1_000_000 + 1;

describe("filling a changed view from history while events flow, killed in the middle", { timeout: 300_000 }, () => {
  describe("on LMDB and the embedded log", () => {
    fillsBesideTheStream(async (folder) => ({
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
    fillsBesideTheStream(async (folder) => {
      servers = await Promise.all([startRedis(), startKafka()]);
      const [redis, kafka] = servers;
      return { onlineStoreUrl: redis?.url ?? "", eventLogUrl: kafka?.url ?? "", dataRoot: folder };
    });
  });
});

function fillsBesideTheStream(start: (folder: string) => Promise<ProcessStores>): void {
  const folder = mkdtempSync(join(tmpdir(), "fill-"));
  const topic = `arrivals-${randomUUID()}`;
  let stores: ProcessStores;
  let service: FeatureServingProcess;
  let log: EventLog;

  beforeAll(async () => {
    await sql(
      `COPY (SELECT 'A' || (i % ${airports}) AS airport, i % 3 AS carrier, (i % 301)::DOUBLE AS delay, make_timestamp(${startUs} + i * 1000000) AS arrived_at, make_timestamp(${startUs} + i * 1000000) AS received_at FROM range(${historyRows}) t(i)) TO '${folder}/arrivals.parquet' (FORMAT parquet)`,
    );
    stores = await start(folder);
    log = await openEventLog(stores.eventLogUrl);
    await log.ensureTopic(topic, 3);
    service = await startFeatureServing(stores);
  }, 120_000);
  afterAll(async () => {
    await service.stop();
    await log.close();
    rmSync(folder, { recursive: true });
  });

  const live = (index: number) => ({
    airport: `A${index % airports}`,
    carrier: index % 3,
    delay: index % 173,
    arrived_at: liveUs + index * 1_000_000,
    received_at: liveUs + index * 1_000_000,
  });
  const append = async (from: number, to: number) => {
    const text = new TextEncoder();
    const rows = Array.from({ length: to - from }, (_, index) => live(from + index));
    await log.append(
      topic,
      rows.map((row) => ({ key: text.encode(row.airport), value: text.encode(JSON.stringify(row)) })),
    );
  };
  const read = async (version = "") => {
    const names = Array.from({ length: airports }, (_, index) => `A${index}`);
    const strings = { values: { case: "strings" as const, value: { values: names } } };
    const integers = { values: { case: "int64s" as const, value: { values: names.map(() => 0n) } } };
    const times = { values: { case: "timestamps" as const, value: { valuesUs: names.map(() => BigInt(endUs)) } } };
    const answer = await service.client.getFeatures({
      selection: { case: "featureService", value: "delay_v1" },
      featureServiceVersion: version,
      entities: [
        { name: "airport", values: strings },
        { name: "carrier", values: integers },
      ],
      request: [{ name: "scheduled_at", values: times }],
      atUs: [BigInt(endUs)],
    });
    const valuesOf = (name: string) => answer.features.find((one) => one.name === name)?.values?.values.value;
    return {
      version: answer.featureServiceVersion,
      means: valuesOf("airport_delays__mean_delay_1h"),
      counts: valuesOf("airport_delays__arrivals_24h"),
    };
  };
  const materialize = async (view: string, isEnough: (rows: bigint) => boolean = () => false) => {
    let done = false;
    for await (const step of service.client.materialize({ view })) {
      done = step.done;
      if (!done && isEnough(step.rows)) break;
    }
    return done;
  };
  const apply = async (window: string) => {
    const repository = arrivalsRepository({ topic, parquet: "arrivals.parquet", window });
    // The view's name says an hour, whatever its window is.
    await service.client.apply({ repository });
    return (await service.client.getFeatureService({ name: "delay_v1" })).featureService?.version ?? "";
  };

  test("the version before answers until then; nothing is missing, nothing counts twice, and it equals SQL", async () => {
    const older = await apply("1h");
    expect(await materialize("airport_delays")).toBe(true);
    await append(0, 500);
    await service.client.awaitApplied({ source: "arrivals" });

    let isFlowing = true;
    let appended = 500;
    const flow = (async () => {
      while (isFlowing || appended < liveArrivals) {
        const to = Math.min(liveArrivals, appended + 50);
        if (to > appended) await append(appended, to);
        appended = to;
        await sleep(20);
      }
    })();
    const newer = await apply("12h");
    expect(newer).not.toBe(older);
    expect((await read()).version).toBe(older);

    await materialize("airport_delays", (rows) => rows > 0n);
    await service.kill();
    service = await startFeatureServing(stores);
    expect((await read()).version).toBe(older);
    expect(await materialize("airport_delays")).toBe(true);
    isFlowing = false;
    await flow;
    await service.client.awaitApplied({ source: "arrivals" });

    const answer = await read();
    expect(answer.version).toBe(newer);
    const hourUs = 3_600_000_000;
    const tailUs = Math.floor((endUs - 12 * hourUs) / hourUs) * hourUs;
    const dayUs = Math.floor((endUs - 24 * hourUs) / hourUs) * hourUs;
    const rows = await sql(
      `WITH facts AS (
         SELECT airport, delay, epoch_us(arrived_at) AS happened FROM read_parquet('${folder}/arrivals.parquet')
         UNION ALL SELECT 'A' || (i % ${airports}), i % 173, ${liveUs} + i * 1000000 FROM range(${liveArrivals}) t(i))
       SELECT avg(delay) FILTER (happened >= ${tailUs}), count(*) FILTER (happened >= ${dayUs}) FROM facts WHERE happened < ${endUs} GROUP BY airport ORDER BY airport`,
    );
    expect(answer.counts).toMatchObject({ values: rows.map(([, count]) => BigInt(String(count))) });
    expect(answer.means).toMatchObject({ values: rows.map(([mean]) => expect.closeTo(Number(mean), 9)) });
  });
}

async function sql(statement: string): Promise<unknown[][]> {
  const instance = await DuckDBInstance.create(":memory:");
  const connection = await instance.connect();
  const rows = (await connection.runAndReadAll(statement)).getRowsJson();
  connection.closeSync();
  instance.closeSync();
  return rows;
}
