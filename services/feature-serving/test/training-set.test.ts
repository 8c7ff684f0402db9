import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { DuckDBInstance, DuckDBTimestampValue } from "@duckdb/node-api";
import {
  AsOf,
  type EntityRowsSchema,
  GetSqlRequest_Dialect,
  type TrainingSetSummary,
} from "@millrace/contracts/millrace/feature/v1/feature_service";
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
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Arrival, arrivalColumns, arrivalsRepository } from "./arrivals-repository.ts";
import { type FeatureServingProcess, startFeatureServing } from "./feature-serving-process.ts";

const second = 1_000_000n;
const startUs = BigInt(Date.UTC(2001, 0, 1)) * 1000n;
const endUs = startUs + 2n * 86_400n * second;
const folder = mkdtempSync(join(tmpdir(), "training-set-"));
const stores = { onlineStoreUrl: `lmdb:${folder}/online`, eventLogUrl: `log:${folder}/log`, dataRoot: folder };
const arrivals = Array.from({ length: 2000 }, (_, index): Arrival => {
  const arrivedAtUs = startUs + BigInt(index) * 86n * second;
  const delay = index % 11 === 0 ? null : ((index * 37) % 101) - 20.5;
  return { airport: `A${index % 5}`, carrier: BigInt(index % 3), delay, arrivedAtUs, receivedAtUs: arrivedAtUs };
});

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

async function readParquet(path: string) {
  const instance = await DuckDBInstance.create(":memory:");
  const connection = await instance.connect();
  const read = await connection.runAndReadAll(`SELECT * FROM read_parquet('${path}')`);
  const result = { names: read.columnNames(), rows: read.getRows() };
  connection.closeSync();
  instance.closeSync();
  return result;
}

describe("GetTrainingSet", { timeout: 60_000 }, () => {
  let service: FeatureServingProcess;

  beforeAll(async () => {
    await writeParquet();
    service = await startFeatureServing(stores);
    await service.client.apply({ repository: arrivalsRepository({ parquet: "arrivals.parquet" }), revision: "r1" });
  }, 60_000);
  afterAll(async () => {
    await service.stop();
    rmSync(folder, { recursive: true });
  });

  const airports = ["A0", "A1", "A2", "A3", "A4", "nowhere"];
  const carriers = [0n, 1n, 2n, 0n, 1n, 9n];
  const times = BigInt64Array.from(airports, () => endUs);

  const trainingSet = async (asOf: AsOf) => {
    // Each column needs its own bytes: Arrow's writer loses a buffer that two columns share.
    const timestamps = () =>
      new Vector([makeData({ type: new TimestampMicrosecond("UTC"), data: times.slice(), length: times.length })]);
    const rows = new Table({
      airport: vectorFromArray(airports, new Utf8()),
      carrier: vectorFromArray(carriers, new Int64()),
      event_time: timestamps(),
      scheduled_at: timestamps(),
      note: vectorFromArray(
        airports.map((name) => `${name}!`),
        new Utf8(),
      ),
    });
    const parts: Uint8Array[] = [];
    let summary: { rows: bigint; snapshotId: string; revision: string } | undefined;
    for await (const { part } of service.client.getTrainingSet({
      selection: { case: "featureService", value: "delay_v1" },
      entityRows: { rows: { case: "arrow", value: tableToIPC(rows, "stream") } },
      asOf,
    })) {
      if (part.case === "arrow") parts.push(part.value);
      if (part.case === "summary") summary = part.value;
    }
    return { table: tableFromIPC(Buffer.concat(parts)), summary };
  };

  test("gives what GetFeatures serves after the same facts came by the stream", async () => {
    await service.client.push({ source: "arrivals", columns: arrivalColumns(arrivals), waitApplied: true });
    const served = await service.client.getFeatures({
      selection: { case: "featureService", value: "delay_v1" },
      entities: [
        { name: "airport", values: { values: { case: "strings", value: { values: airports } } } },
        { name: "carrier", values: { values: { case: "int64s", value: { values: carriers } } } },
      ],
      request: [{ name: "scheduled_at", values: { values: { case: "timestamps", value: { valuesUs: [...times] } } } }],
      atUs: [endUs],
    });
    for (const asOf of [AsOf.EVENT_TIME, AsOf.KNOWN_AT]) {
      const { table, summary } = await trainingSet(asOf);
      expect(summary).toMatchObject({ rows: BigInt(airports.length), revision: "r1" });
      expect(table.numRows).toBe(airports.length);
      expect(table.getChild("note")?.get(5)).toBe("nowhere!");
      expect(served.features.length).toBe(8);
      for (const { name, values, statuses } of served.features) {
        const offline = table.getChild(name);
        airports.forEach((airport, row) => {
          const value = values?.values.value;
          const list: readonly unknown[] = value !== undefined && "values" in value ? value.values : [];
          const isCount = name.endsWith("arrivals_24h");
          const online = statuses[row] === 1 || isCount ? list[row] : null;
          const expected: unknown = offline?.get(row) ?? null;
          if (typeof expected === "number") expect(online, `${name} of ${airport}`).toBeCloseTo(expected, 9);
          else expect(online, `${name} of ${airport}`).toEqual(expected);
        });
      }
    }
  });

  test("gives the same snapshot id for the same inputs", async () => {
    const ids = [await trainingSet(AsOf.EVENT_TIME), await trainingSet(AsOf.EVENT_TIME)].map(
      ({ summary }) => summary?.snapshotId,
    );
    expect(ids[0]).toBe(ids[1]);
    expect(ids[0]).toMatch(/\w{8}/);
  });

  const selection = { case: "featureService" as const, value: "delay_v1" };
  const query = {
    data: { case: "parquet" as const, value: "arrivals.parquet" },
    columns: { event_time: "arrived_at", scheduled_at: "arrived_at" },
    extra: { was_late: "delay > 15" },
    where: "airport <> 'A4'",
  };

  const toParquet = async (parquetPath: string, entityRows: MessageInitShape<typeof EntityRowsSchema>) => {
    let summary: TrainingSetSummary | undefined;
    for await (const { part } of service.client.getTrainingSet({ selection, entityRows, parquetPath })) {
      expect(part.case).not.toBe("arrow");
      if (part.case === "summary") summary = part.value;
    }
    return summary;
  };

  test("writes a Parquet file that holds what it streams as Arrow", async () => {
    const entityRows = { rows: { case: "query" as const, value: query } };
    const parts: Uint8Array[] = [];
    for await (const { part } of service.client.getTrainingSet({ selection, entityRows })) {
      if (part.case === "arrow") parts.push(part.value);
    }
    const streamed = tableFromIPC(Buffer.concat(parts));
    const summary = await toParquet("sets/january.parquet", entityRows);
    expect(summary?.rows).toBe(BigInt(streamed.numRows));
    const names = streamed.schema.fields.map(({ name }) => name);
    const written = await readParquet(join(folder, "sets/january.parquet"));
    expect(written.names).toEqual(names);
    expect(written.rows.length).toBe(streamed.numRows);
    for (const [row, values] of written.rows.entries()) {
      names.forEach((name, column) => {
        const value = values[column];
        const instant = value instanceof DuckDBTimestampValue ? Number(value.micros) / 1000 : value;
        expect(instant, `${name}[${row}]`).toEqual(streamed.getChild(name)?.get(row) ?? null);
      });
    }
    expect(readdirSync(join(folder, "sets"))).toEqual(["january.parquet"]);
  });

  test("leaves nothing where the file cannot be made, and writes nowhere else", async () => {
    const broken = { rows: { case: "query" as const, value: { ...query, where: "no_such_column > 1" } } };
    await expect(toParquet("broken/set.parquet", broken)).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
    expect(readdirSync(join(folder, "broken"))).toEqual([]);
    const entityRows = { rows: { case: "query" as const, value: query } };
    for (const path of ["../outside.parquet", "/tmp/outside.parquet", "sets/", "."]) {
      await expect(toParquet(path, entityRows), path).rejects.toMatchObject({
        code: "INVALID_ARGUMENT",
        violations: [{ field: "parquet_path", got: path }],
      });
    }
    const rows = new Table({ airport: vectorFromArray(["A0"], new Utf8()) });
    const arrow = { rows: { case: "arrow" as const, value: tableToIPC(rows, "stream") } };
    await expect(toParquet("sets/arrow.parquet", arrow)).rejects.toMatchObject({
      violations: [{ field: "entity_rows", got: "an Arrow stream" }],
    });
  });

  test("refuses what is not built, and does not pass it over", async () => {
    const rows = new Table({ airport: vectorFromArray(["A0"], new Utf8()) });
    const entityRows = { rows: { case: "arrow" as const, value: tableToIPC(rows, "stream") } };
    const call = async () => {
      for await (const _part of service.client.getTrainingSet({ selection, entityRows, asOfToken: "1.abc.2" }));
    };
    await expect(call()).rejects.toMatchObject({ code: "UNIMPLEMENTED" });
    const sql = service.client.getSql({ featureService: "delay_v1", dialect: GetSqlRequest_Dialect.SPARK });
    await expect(sql).rejects.toMatchObject({ code: "UNIMPLEMENTED" });
  });

  test("names the column that the entity rows lack", async () => {
    const rows = new Table({ airport: vectorFromArray(["A0"], new Utf8()) });
    const call = async () => {
      for await (const _part of service.client.getTrainingSet({
        selection: { case: "featureService", value: "delay_v1" },
        entityRows: { rows: { case: "arrow", value: tableToIPC(rows, "stream") } },
      }));
    };
    await expect(call()).rejects.toMatchObject({ code: "INVALID_ARGUMENT", reason: "COLUMN_INVALID" });
  });
});
