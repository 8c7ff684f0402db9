import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fromJson, type JsonObject } from "@bufbuild/protobuf";
import { DuckDBInstance } from "@duckdb/node-api";
import { FeatureRepositorySchema } from "@millrace/contracts/millrace/feature/v1/feature_repository";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { BatchRows, countBatchRows } from "../src/duckdb/index.ts";
import { compileRepository } from "../src/index.ts";

let dataRoot: string;
beforeEach(async () => {
  dataRoot = await mkdtemp(join(tmpdir(), "batch-files-"));
});
afterEach(() => rm(dataRoot, { recursive: true }));

const sourceOf = (batch: JsonObject) => {
  const repository = compileRepository(
    fromJson(FeatureRepositorySchema, {
      sources: [
        {
          name: "arrivals",
          fields: [
            { name: "airport", type: "STRING" },
            { name: "delay", type: "INT64" },
            { name: "at", type: "TIMESTAMP" },
          ],
          eventTime: "at",
          batch,
        },
      ],
    }),
  );
  const source = repository.sources.get("arrivals");
  if (source === undefined) throw new Error("no source");
  return source;
};

const read = async (batch: JsonObject) => {
  const everyTime = { fromUs: Number.NEGATIVE_INFINITY, toUs: Number.POSITIVE_INFINITY };
  const data = await BatchRows.open(sourceOf(batch), { dataRoot }, everyTime);
  try {
    const rows = [];
    for await (const chunk of data.read(0)) rows.push(...chunk.map(({ row }) => row));
    return rows;
  } finally {
    data.close();
  }
};

const sql = async (statement: string): Promise<void> => {
  const instance = await DuckDBInstance.create(":memory:");
  const connection = await instance.connect();
  await connection.run(statement);
  connection.closeSync();
  instance.closeSync();
};

const put = async (name: string, text: string): Promise<void> => {
  await mkdir(dirname(join(dataRoot, name)), { recursive: true });
  await writeFile(join(dataRoot, name), text);
};

const dayUs = 86_400_000_000n;

describe("a folder partitioned by column=value", () => {
  const rows = `SELECT * FROM (VALUES ('01', 5, TIMESTAMP '1970-01-02'), ('a b/ü', 6, TIMESTAMP '1970-01-03'), (NULL, 7, TIMESTAMP '1970-01-04')) t(airport, delay, "at")`;

  test("gives the values in the paths as the columns that the source declares", async () => {
    await sql(`COPY (${rows}) TO '${dataRoot}/arrivals' (FORMAT parquet, PARTITION_BY (airport, delay))`);
    const found = await read({ parquet: "arrivals" });
    expect(found).toEqual([
      ["01", 5n, dayUs],
      [null, 7n, 3n * dayUs],
      ["a b/ü", 6n, 2n * dayUs],
    ]);
    expect(await read({ parquet: "arrivals/**/*.parquet" })).toEqual(found);
    expect(await countBatchRows(sourceOf({ parquet: "arrivals" }), { dataRoot })).toBe(3);
  });

  test("is refused where files are partitioned otherwise, and where a value is of another type", async () => {
    await sql(`COPY (${rows}) TO '${dataRoot}/arrivals' (FORMAT parquet, PARTITION_BY (airport, delay))`);
    await mkdir(join(dataRoot, "arrivals/airport=02"), { recursive: true });
    await sql(
      `COPY (SELECT 1 AS delay, TIMESTAMP '1970-01-02' AS "at") TO '${dataRoot}/arrivals/airport=02/x.parquet'`,
    );
    await expect(read({ parquet: "arrivals" })).rejects.toMatchObject({
      reasonName: "SOURCE_DATA_INVALID",
      message: expect.stringContaining("Hive partition mismatch"),
    });
    await put("words/delay=many/a.csv", "airport,at\nAMS,1970-01-02\n");
    await expect(read({ csv: "words" })).rejects.toMatchObject({ reasonName: "ENGINE_FAILED" });
  });

  test("works for CSV", async () => {
    await put("arrivals/airport=01/a.csv", "delay,at\n5,1970-01-02\n");
    await put("arrivals/airport=02/b.csv", "delay,at\n6,1970-01-03T00:00:00Z\n");
    await put("arrivals/airport=02/notes.txt", "no data");
    expect(await read({ csv: "arrivals" })).toEqual([
      ["01", 5n, dayUs],
      ["02", 6n, 2n * dayUs],
    ]);
  });
});

describe("CSV files", () => {
  test("keep the text of a STRING that looks like a number, and read empty cells as null", async () => {
    await put("a.csv", "airport,delay,at\n007,5,1970-01-02\n1e3,,1970-01-03\n");
    await put("b.csv", 'at,airport,delay,more\n1970-01-04,"x, ""y""",6,1\n');
    expect(await read({ csv: "*.csv" })).toEqual([
      ["007", 5n, dayUs],
      ["1e3", null, 2n * dayUs],
      ['x, "y"', 6n, 3n * dayUs],
    ]);
  });

  test("name the column that is missing", async () => {
    await put("a.csv", "airport,at\nAMS,1970-01-02\n");
    await expect(read({ csv: "a.csv" })).rejects.toMatchObject({
      details: { violations: [{ field: "delay", expected: "a column of type INT64", got: "no such column" }] },
    });
  });
});

test("a folder without such files is told apart from one that is missing", async () => {
  await mkdir(join(dataRoot, "empty"));
  await expect(read({ parquet: "empty" })).rejects.toThrow(
    "expected files of empty/**/*.parquet below the data root, got none",
  );
  await expect(read({ parquet: "none" })).rejects.toThrow("expected files of none below the data root, got none");
});
