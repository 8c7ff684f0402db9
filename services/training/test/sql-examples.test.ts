import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { JsonValue } from "@bufbuild/protobuf";
import { type BackingServer, hasBacking, startPostgres } from "@millrace/backing";
import { RunState } from "@millrace/contracts/millrace/training/v1/training_service";
import { Client } from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { exampleSpec, freshFolder } from "./examples.fixture.ts";
import { TrainingProcess } from "./training-process.ts";

const fresh = await freshFolder();
const connections = join(fresh.folder, "connections");
const service = await TrainingProcess.create(fresh.folder, { "sql-connections-file": connections });

describe.skipIf(!hasBacking("postgres"))("examples by a query", { timeout: 120_000 }, () => {
  let server: BackingServer;
  beforeAll(async () => {
    server = await startPostgres();
    writeFileSync(connections, `warehouse=${server.url}`);
    const client = new Client({ connectionString: server.url });
    await client.connect();
    await client.query(`CREATE TABLE flights AS SELECT '2001-01-01'::timestamptz + i * interval '3 minutes' AS departed_at,
      (i * 31) % 24 AS hour, (ARRAY['AA', 'DL', NULL])[1 + i % 3] AS carrier, (i * 31) % 24 * 2 + (i * 104729) % 20 AS delay
      FROM generate_series(1, 4000) i`);
    await client.end();
    await service.start();
  });
  afterAll(async () => {
    await service.stop("SIGTERM");
    await server.remove();
    await fresh.remove();
  });

  const specOf = (query: string, columns: string[] = ["hour", "carrier"]) => {
    const dataset: JsonValue = {
      columns,
      examples: { sql: { connection: "warehouse", query }, eventTime: "departed_at", label: "delay > 35" },
      split: { byTime: { validationFrom: "2001-01-07T00:00:00Z", testFrom: "2001-01-08T00:00:00Z" } },
    };
    return exampleSpec({ dataset, evaluation: {} }, { epochs: 2, preparation: [] });
  };

  test("train as files do, and the same rows have the same snapshot id", async () => {
    const query = "SELECT departed_at, hour, carrier, delay FROM flights; -- all of them";
    const { id } = await service.startRun(specOf(query));
    const run = await service.watch(id);
    expect(run.error).toBeUndefined();
    expect(run.state).toBe(RunState.SUCCEEDED);
    expect(Number(run.trainingRows + run.validationRows + run.testRows)).toBe(4000);
    const again = await service.watch((await service.startRun(specOf(query))).id);
    expect(again.datasetSnapshotId).toBe(run.datasetSnapshotId);
    expect(again.packageDigest).toBe(run.packageDigest);
    const fewer = await service.watch((await service.startRun(specOf("SELECT * FROM flights WHERE delay <> 7"))).id);
    expect(fewer.datasetSnapshotId).not.toBe(run.datasetSnapshotId);
  });

  test("are refused before any work where the query or a column is wrong", async () => {
    await expect(service.startRun(specOf("SELECT * FROM nowhere"))).rejects.toMatchObject({
      code: "FAILED_PRECONDITION",
      message: expect.stringContaining('relation "nowhere" does not exist'),
    });
    await expect(service.startRun(specOf("SELECT * FROM flights", ["distance"]))).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
      violations: [{ field: "spec.dataset.columns[0]", got: "distance: no such column" }],
    });
    await expect(service.startRun(specOf("DROP TABLE flights"))).rejects.toMatchObject({
      message: expect.stringContaining("a statement that is no SELECT: DropStmt"),
    });
  });
});
