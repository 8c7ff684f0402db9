import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { DuckDBInstance } from "@duckdb/node-api";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";

const run = promisify(execFile);
const bin = join(import.meta.dirname, "../bin/millrace.js");
const folder = mkdtempSync(join(tmpdir(), "millrace-cli-"));

interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

const millrace = async (...args: string[]): Promise<Outcome> => {
  try {
    return {
      code: 0,
      ...(await run(process.execPath, ["--conditions=@millrace/source", bin, ...args], {
        env: { ...process.env, NO_COLOR: "1", FORCE_COLOR: undefined },
      })),
    };
  } catch (error) {
    return error as Outcome;
  }
};

const sql = async (...statements: string[]): Promise<unknown[][]> => {
  const instance = await DuckDBInstance.create(":memory:");
  const connection = await instance.connect();
  let rows: unknown[][] = [];
  for (const statement of statements) rows = (await connection.runAndReadAll(statement)).getRowsJson();
  connection.closeSync();
  instance.closeSync();
  return rows;
};

const file = (name: string): string => join(folder, name);

beforeAll(async () => {
  writeFileSync(
    file("trips.yaml"),
    `entities: [{name: city, keys: [{name: city, type: STRING}]}]
sources:
  - name: trips
    fields: [{name: city, type: STRING}, {name: fare, type: DOUBLE}, {name: at, type: TIMESTAMP}]
    eventTime: at
    batch: {parquet: trips.parquet}
featureViews:
  - name: fares
    entity: city
    source: trips
    aggregates: [{name: mean_1h, function: MEAN, of: fare, window: 1h}]
featureServices: [{name: fares_v1, features: [fares.mean_1h]}]
`,
  );
  await sql(
    `COPY (SELECT 'ams' AS city, 10.0 AS fare, TIMESTAMP '2024-01-01 10:01:00' AS at UNION ALL SELECT 'ams', 30.0, TIMESTAMP '2024-01-01 10:30:00') TO '${file("trips.parquet")}'`,
    `COPY (SELECT 'ams' AS city, TIMESTAMP '2024-01-01 10:30:00' AS event_time, 7 AS kept UNION ALL SELECT 'ams', TIMESTAMP '2024-01-01 10:40:00', 8) TO '${file("rows.parquet")}'`,
    `COPY (SELECT range * 1.0 AS x FROM range(2000)) TO '${file("reference.parquet")}'`,
    `COPY (SELECT range * 1.5 AS x FROM range(2000)) TO '${file("current.parquet")}'`,
  );
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("millrace", () => {
  test("prints the JSON Schema of feature repositories", async () => {
    const { code, stdout } = await millrace("schema");
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ properties: { featureViews: { type: "array" } } });
  });

  test("evaluates a table of labels and predictions, by slice", async () => {
    const table = join(folder, "predictions.parquet");
    await sql(
      `COPY (SELECT * FROM (VALUES (1, 0.9, 'a'), (0, 0.2, 'a'), (1, 0.4, 'b'), (0, 0.6, 'b')) t(label, prediction, slice)) TO '${table}' (FORMAT parquet)`,
    );
    const given = ["evaluate", "--table", table, "--label", "label", "--prediction", "prediction", "--slice", "slice"];
    const { code, stdout } = await millrace(...given, "--json");
    expect(code).toBe(0);
    const measured: { metric: string; slice: string | null; value: number | null }[] = JSON.parse(stdout);
    const auc = measured.filter(({ metric }) => metric === "ROC_AUC").map(({ slice, value }) => [slice, value]);
    expect(auc).toEqual([
      [null, 0.75],
      ["b", 0],
      ["a", 1],
    ]);
    const wrong = await millrace("evaluate", "--table", table, "--label", "lable", "--prediction", "prediction");
    expect(wrong.code).toBe(1);
    expect(wrong.stderr).toContain("label: expected one of label, prediction, slice, got lable");
  });

  test("says what is wrong with an installation, and what to do, and fails where something is", async () => {
    // Nobody listens on the port of the discard protocol.
    vi.stubEnv("MILLRACE_TRAINING_ADDRESS", "127.0.0.1:9");
    const { code, stdout } = await millrace("doctor", "training", "--json");
    vi.unstubAllEnvs();
    expect(code).toBe(1);
    expect(JSON.parse(stdout)).toEqual([
      expect.objectContaining({ of: "this machine", state: expect.stringMatching(/^(ok|warning)$/) }),
      {
        of: "training at 127.0.0.1:9",
        state: "failed",
        message: "not reached: connect ECONNREFUSED 127.0.0.1:9",
        remedy: expect.stringContaining("npx nx run training:serve"),
      },
    ]);
    const unknown = await millrace("doctor", "redis");
    expect(unknown.code).toBe(2);
    expect(unknown.stderr).toContain("Allowed choices are feature-serving, training, inference, monitoring");
  });

  test("lists its commands", async () => {
    const { code, stdout } = await millrace("--help");
    expect(code).toBe(0);
    for (const name of ["apply", "train", "deploy", "predict", "status", "training-set", "compare"])
      expect(stdout).toContain(name);
  });

  test("builds a training set from files, in which a row does not see an event of its own moment", async () => {
    const { code, stdout, stderr } = await millrace(
      ...[
        "training-set",
        "--repository",
        folder,
        "--service",
        "fares_v1",
        "--entities",
        file("rows.parquet"),
        "--out",
        file("out.parquet"),
      ],
    );
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toContain("2 rows");
    expect(await sql(`SELECT kept, fares__mean_1h FROM '${file("out.parquet")}'`)).toEqual([
      [7, 10],
      [8, 20],
    ]);
  });

  test("names what is wrong with a training set that cannot be built", async () => {
    const { code, stderr } = await millrace(
      ...[
        "training-set",
        "--repository",
        folder,
        "--service",
        "nope",
        "--entities",
        file("rows.parquet"),
        "--out",
        file("no.parquet"),
      ],
    );
    expect(code).toBe(1);
    expect(stderr).toContain("FEATURE_SERVICE_UNKNOWN");
    expect(stderr).toContain("fares_v1");
  });

  test("compares two files and says which columns drifted", async () => {
    const { code, stdout } = await millrace(
      "compare",
      "--reference",
      file("reference.parquet"),
      "--current",
      file("current.parquet"),
      "--json",
    );
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject([{ column: "x", test: "wasserstein", verdict: "DRIFT" }]);
  });

  test("ends with 2 where the command line is wrong", async () => {
    for (const args of [["nonsense"], ["compare"], ["get-features"], ["sql", "s", "--as-of", "never"]]) {
      expect((await millrace(...args)).code, args.join(" ")).toBe(2);
    }
  });

  test("says in one line that a service is not there", async () => {
    const { code, stderr } = await millrace("status", "--address", "127.0.0.1:1");
    expect(code).toBe(1);
    expect(stderr).toContain("UNAVAILABLE");
    expect(stderr).not.toContain(" at ");
  });
});
