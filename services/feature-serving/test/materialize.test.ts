import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { DuckDBInstance, DuckDBTimestampValue } from "@duckdb/node-api";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Arrival, arrivalColumns, arrivalsRepository } from "./arrivals-repository.ts";
import { type FeatureServingProcess, startFeatureServing } from "./feature-serving-process.ts";

const second = 1_000_000n;
const startUs = BigInt(Date.UTC(2001, 0, 1)) * 1000n;
const folder = mkdtempSync(join(tmpdir(), "materialize-"));
const stores = { onlineStoreUrl: `lmdb:${folder}/online`, eventLogUrl: `log:${folder}/log`, dataRoot: folder };

/** One arrival every half minute over ten days, some of them known only later. */
const arrivals = Array.from({ length: 28_800 }, (_, index): Arrival => {
  const arrivedAtUs = startUs + BigInt(index) * 30n * second;
  const receivedAtUs = arrivedAtUs + (index % 10 === 0 ? 3n * 3600n * second : 0n);
  return { airport: `A${index % 7}`, carrier: BigInt(index % 3), delay: (index * 37) % 101, arrivedAtUs, receivedAtUs };
});
const cutUs = startUs + 7n * 86_400n * second;
const endUs = startUs + 10n * 86_400n * second;

async function writeParquet(rows: readonly Arrival[], file: string): Promise<void> {
  const instance = await DuckDBInstance.create(":memory:");
  const connection = await instance.connect();
  await connection.run(
    "CREATE TABLE arrivals (airport VARCHAR, carrier BIGINT, delay DOUBLE, arrived_at TIMESTAMP, received_at TIMESTAMP)",
  );
  const appender = await connection.createAppender("arrivals");
  for (const row of rows) {
    appender.appendVarchar(row.airport ?? "");
    appender.appendBigInt(row.carrier ?? 0n);
    appender.appendDouble(row.delay ?? 0);
    appender.appendTimestamp(new DuckDBTimestampValue(row.arrivedAtUs));
    appender.appendTimestamp(new DuckDBTimestampValue(row.receivedAtUs));
    appender.endRow();
  }
  appender.closeSync();
  await connection.run(`COPY arrivals TO '${file}' (FORMAT parquet)`);
  connection.closeSync();
  instance.closeSync();
}

describe("Materialize", { timeout: 120_000 }, () => {
  let service: FeatureServingProcess;

  beforeAll(async () => {
    await writeParquet(arrivals, join(folder, "arrivals.parquet"));
    service = await startFeatureServing(stores);
    await service.client.apply({ repository: arrivalsRepository({ parquet: "arrivals.parquet" }) });
  }, 60_000);
  afterAll(async () => {
    await service.stop();
    rmSync(folder, { recursive: true });
  });

  const materialize = async (view: string) => {
    const to = timestampFromMs(Number(cutUs / 1000n));
    let last: { rows: bigint; keys: bigint; done: boolean } | undefined;
    for await (const progress of service.client.materialize({ view, to })) last = progress;
    return last;
  };

  const push = (rows: readonly Arrival[]) =>
    service.client.push({ source: "arrivals", columns: arrivalColumns(rows), waitApplied: true });

  const read = async (atUs = endUs) => {
    const airports = Array.from({ length: 7 }, (_, index) => `A${index}`);
    const answer = await service.client.getFeatures({
      selection: { case: "references", value: { features: ["airport_delays.*"] } },
      entities: [{ name: "airport", values: { values: { case: "strings", value: { values: airports } } } }],
      atUs: [atUs],
    });
    return answer.features.map(({ values }) => values?.values.value);
  };

  test("is announced by a plan with the facts to read, as the files' metadata tells, and the time that takes", async () => {
    const { changes } = await service.client.plan({
      repository: arrivalsRepository({ parquet: "arrivals.parquet", window: "2h" }),
    });
    const change = changes.find(({ name }) => name === "airport_delays");
    expect(change).toMatchObject({ needsBackfill: true, backfillRows: BigInt(arrivals.length) });
    expect(change?.backfillSeconds).toBeGreaterThan(0);
  });

  test("loads history up to the cut and leaves the rest to the stream, so that every fact counts once", async () => {
    expect(await materialize("airport_delays")).toMatchObject({ keys: 7n, done: true });
    await push(arrivals.filter(({ receivedAtUs }) => receivedAtUs >= cutUs - 3600n * second));
    const inWindow = (hours: bigint, airport: number) =>
      arrivals.filter((row, index) => index % 7 === airport && row.arrivedAtUs >= endUs - hours * 3600n * second);
    const [means, counts] = await read();
    expect(counts).toMatchObject({ values: [0, 1, 2, 3, 4, 5, 6].map((key) => BigInt(inWindow(24n, key).length)) });
    const mean = (rows: readonly Arrival[]) => rows.reduce((sum, { delay }) => sum + (delay ?? 0), 0) / rows.length;
    const expected = [0, 1, 2, 3, 4, 5, 6].map((key) => mean(inWindow(1n, key)));
    expect(means).toMatchObject({ values: expected.map((value) => expect.closeTo(value, 9)) });
  });

  test("does nothing when it is called again", async () => {
    const before = await read();
    expect(await materialize("airport_delays")).toMatchObject({ keys: 7n, done: true });
    expect(await read()).toEqual(before);
  });

  test("refuses a range that overlaps with what was loaded", async () => {
    const to = timestampFromMs(Number(cutUs / 1000n) - 1000);
    const call = async () => {
      for await (const _progress of service.client.materialize({ view: "airport_delays", to }));
    };
    await expect(call()).rejects.toMatchObject({ code: "FAILED_PRECONDITION", reason: "CONFLICT" });
  });

  test("leaves to the stream what the stream applied before, down to its oldest fact", async () => {
    await push(arrivals.slice(-2000));
    const last = await materialize("carrier_delays");
    expect(last?.done).toBe(true);
    const answer = await service.client.getFeatures({
      selection: { case: "references", value: { features: ["carrier_delays.total_7d"] } },
      entities: [{ name: "carrier", values: { values: { case: "int64s", value: { values: [0n] } } } }],
      atUs: [endUs + 3600n * second],
    });
    const fromUs = endUs + 3600n * second - 7n * 86_400n * second;
    const sum = (rows: readonly Arrival[]) =>
      rows
        .filter(({ carrier, arrivedAtUs }) => carrier === 0n && arrivedAtUs >= fromUs)
        .reduce((total, { delay }) => total + (delay ?? 0), 0);
    // Every arrival once, from the files or from the stream, and those that were pushed again once more.
    const expected = sum(arrivals) + sum(arrivals.slice(-2000));
    expect(answer.features[0]?.values?.values.value).toMatchObject({ values: [expected] });
  });

  test("cuts where the files are complete, as the source says, so that the stream brings what they lack", async () => {
    const lackFrom = cutUs - 1800n * second;
    const isLacking = ({ receivedAtUs }: Arrival, index: number) =>
      receivedAtUs >= lackFrom && receivedAtUs < cutUs && index % 3 === 0;
    const early = arrivals.filter(({ receivedAtUs }) => receivedAtUs < cutUs);
    // The files reach up to the cut, and their last half hour lacks a third of its facts.
    await writeParquet(
      early.filter((arrival) => !isLacking(arrival, arrivals.indexOf(arrival))),
      join(folder, "lacking.parquet"),
    );
    const repository = arrivalsRepository({ parquet: "lacking.parquet", topic: "lacking", lag: "30m" });
    await service.client.apply({ repository });
    for await (const _progress of service.client.materialize({ view: "airport_delays" }));
    // The topic goes back further than the files lack: what both have counts once.
    await push(early.filter(({ receivedAtUs }) => receivedAtUs >= lackFrom - 3600n * second));
    // The version before answers until the new one has caught up.
    await service.client.awaitApplied({ source: "arrivals", positions: [] });
    const inWindow = (airport: number) =>
      early.filter(
        ({ airport: name, arrivedAtUs }) => name === `A${airport}` && arrivedAtUs >= cutUs - 24n * 3600n * second,
      );
    expect((await read(cutUs))[1]).toMatchObject({
      values: [0, 1, 2, 3, 4, 5, 6].map((airport) => BigInt(inWindow(airport).length)),
    });
  });

  test("names a view that is unknown, and a source without batch data", async () => {
    const call = async (view: string) => {
      for await (const _progress of service.client.materialize({ view }));
    };
    await expect(call("nothing")).rejects.toMatchObject({ code: "NOT_FOUND", reason: "FEATURE_UNKNOWN" });
  });
});
