import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DuckDBInstance, DuckDBTimestampValue } from "@duckdb/node-api";
import type { FeatureMismatch, VerifyFeaturesSummary } from "@millrace/contracts/millrace/feature/v1/feature_service";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Arrival, arrivalColumns, arrivalsRepository } from "./arrivals-repository.ts";
import { type FeatureServingProcess, startFeatureServing } from "./feature-serving-process.ts";

const second = 1_000_000n;
const startUs = BigInt(Date.UTC(2001, 0, 1)) * 1000n;
const folder = mkdtempSync(join(tmpdir(), "verify-"));
const stores = { onlineStoreUrl: `lmdb:${folder}/online`, eventLogUrl: `log:${folder}/log`, dataRoot: folder };
const arrivals = Array.from({ length: 2000 }, (_, index): Arrival => {
  const arrivedAtUs = startUs + BigInt(index) * 86n * second;
  const delay = index % 11 === 0 ? null : ((index * 37) % 101) - 20.5;
  return { airport: `A${index % 5}`, carrier: BigInt(index % 3), delay, arrivedAtUs, receivedAtUs: arrivedAtUs };
});
const newestUs = arrivals.at(-1)?.arrivedAtUs ?? 0n;

async function writeParquet(): Promise<void> {
  const instance = await DuckDBInstance.create(":memory:");
  const connection = await instance.connect();
  await connection.run(
    "CREATE TABLE arrivals (airport VARCHAR, carrier BIGINT, delay DOUBLE, arrived_at TIMESTAMP, received_at TIMESTAMP)",
  );
  const appender = await connection.createAppender("arrivals");
  for (const row of arrivals) {
    appender.appendVarchar(row.airport ?? "");
    appender.appendBigInt(row.carrier ?? 0n);
    if (row.delay === null) appender.appendNull();
    else appender.appendDouble(row.delay);
    appender.appendTimestamp(new DuckDBTimestampValue(row.arrivedAtUs));
    appender.appendTimestamp(new DuckDBTimestampValue(row.receivedAtUs));
    appender.endRow();
  }
  appender.closeSync();
  await connection.run(`COPY arrivals TO '${join(folder, "arrivals.parquet")}' (FORMAT parquet)`);
  connection.closeSync();
  instance.closeSync();
}

describe("VerifyFeatures", { timeout: 120_000 }, () => {
  let service: FeatureServingProcess;

  beforeAll(async () => {
    await writeParquet();
    service = await startFeatureServing(stores, ["--verify-interval", "1s", "--verify-entities", "5"]);
    await service.client.apply({ repository: arrivalsRepository({ parquet: "arrivals.parquet" }) });
    await service.client.push({ source: "arrivals", columns: arrivalColumns(arrivals), waitApplied: true });
  }, 60_000);
  afterAll(async () => {
    await service.stop();
    rmSync(folder, { recursive: true });
  });

  const verify = async (request: { entities?: number; seed?: bigint } = {}) => {
    const mismatches: FeatureMismatch[] = [];
    let summary: VerifyFeaturesSummary | undefined;
    for await (const { part } of service.client.verifyFeatures({ featureService: "delay_v1", ...request })) {
      if (part.case === "mismatch") mismatches.push(part.value);
      if (part.case === "summary") summary = part.value;
    }
    if (summary === undefined) throw new Error("no summary came");
    return { mismatches, summary };
  };

  test("finds every served value equal to what the files give", async () => {
    const { mismatches, summary } = await verify({ seed: 7n });
    expect(mismatches).toEqual([]);
    expect(summary).toMatchObject({ seed: 7n, rows: 5n, skippedRows: 0n });
    // Those that are computed on demand follow from the others.
    expect(summary.features.map(({ name }) => name)).not.toContain("schedule__hour");
    expect(summary.features.length).toBeGreaterThan(4);
    for (const { compared, mismatched } of summary.features)
      expect({ compared, mismatched }).toEqual({ compared: 5n, mismatched: 0n });
  });

  test("draws the same entities for the same seed, as many as are asked for", async () => {
    const { summary } = await verify({ entities: 2, seed: 11n });
    expect(summary.rows).toBe(2n);
  });

  /** The sum of a metric's samples whose labels have the text. */
  const metric = async (name: string, label: string): Promise<number> => {
    const response = await fetch(`http://127.0.0.1:${service.metricsPort}/metrics`);
    const lines = (await response.text())
      .split("\n")
      .filter((line) => line.startsWith(`${name}{`) && line.includes(label));
    return lines.reduce((sum, line) => sum + Number(line.split(" ").at(-1)), 0);
  };
  const feature = 'feature="airport_delays__arrivals_24h"';

  test("is done again and again where it is set so, and told as metrics", async () => {
    const compared = () => metric("millrace_feature_verified_values_total", feature);
    await expect.poll(compared, { timeout: 30_000 }).toBeGreaterThan(0);
    const before = await compared();
    await expect.poll(compared, { timeout: 30_000 }).toBeGreaterThan(before);
    expect(await metric("millrace_feature_verification_mismatches_total", feature)).toBe(0);
    expect(await metric("millrace_feature_verification_timestamp_seconds", "delay_v1")).toBeGreaterThan(0);
  });

  test("names entity, feature and both values where the stream had a fact that the files lack", async () => {
    const at = newestUs - 600n * second;
    const extra: Arrival = { airport: "A1", carrier: null, delay: 1000, arrivedAtUs: at, receivedAtUs: at };
    await service.client.push({ source: "arrivals", columns: arrivalColumns([extra]), waitApplied: true });
    const { mismatches, summary } = await verify({ seed: 7n });
    expect(new Set(mismatches.map(({ keys }) => keys.airport?.value.value))).toEqual(new Set(["A1"]));
    const count = mismatches.find(({ feature }) => feature === "airport_delays__arrivals_24h");
    const [served, computed] = [count?.served?.value.value, count?.computed?.value.value];
    expect(served).toBe(BigInt(computed as bigint) + 1n);
    expect(summary.features.find(({ name }) => name === "airport_delays__arrivals_24h")?.mismatched).toBe(1n);
    expect(summary.features.find(({ name }) => name === "carrier_delays__total_7d")?.mismatched).toBe(0n);
  });

  test("tells by itself of values that differ", async () => {
    const mismatched = () => metric("millrace_feature_verification_mismatches_total", "airport_delays");
    await expect.poll(mismatched, { timeout: 30_000 }).toBeGreaterThan(0);
  });

  test("leaves out a row that has gone on, and counts it", async () => {
    const at = newestUs + 600n * second;
    const later: Arrival = { airport: "A2", carrier: null, delay: 1, arrivedAtUs: at, receivedAtUs: at };
    await service.client.push({ source: "arrivals", columns: arrivalColumns([later]), waitApplied: true });
    const { mismatches, summary } = await verify({ seed: 7n });
    expect(summary).toMatchObject({ rows: 5n, skippedRows: 1n });
    expect(mismatches.map(({ keys }) => keys.airport?.value.value)).not.toContain("A2");
  });

  test("refuses a service that there is not", async () => {
    const call = async () => {
      for await (const _part of service.client.verifyFeatures({ featureService: "none" }));
    };
    await expect(call()).rejects.toMatchObject({ code: "NOT_FOUND" });
  });
});
