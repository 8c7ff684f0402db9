import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DuckDBInstance } from "@duckdb/node-api";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ComparisonInvalidError } from "./comparison-invalid-error.ts";
import { compareParquet } from "./parquet.ts";

let folder: string;
let reference: string;
let current: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "millrace-compare-"));
  reference = join(folder, "it's reference.parquet");
  current = join(folder, "current.parquet");
  const instance = await DuckDBInstance.create(":memory:");
  const connection = await instance.connect();
  const write = (select: string, path: string) =>
    connection.run(`COPY (${select}) TO '${path.replaceAll("'", "''")}' (FORMAT parquet)`);
  await write(
    `SELECT i / 10.0 AS steady, CASE WHEN i % 5 = 0 THEN NULL ELSE i::DOUBLE END AS moved, i % 4 AS few,
     CASE WHEN i % 2 = 0 THEN 'a' ELSE 'b' END AS letter, i::VARCHAR AS note, NULL::DOUBLE AS empty,
     TIMESTAMP '2001-01-01' AS moment, 'inf'::DOUBLE AS infinite, i AS only_here FROM range(2000) t(i)`,
    reference,
  );
  await write(
    `SELECT i / 10.0 AS steady, i + 900.0 AS moved, i % 4 AS few, 'b' AS letter, i::VARCHAR AS note, 1.0 AS empty,
     TIMESTAMP '2001-01-01' AS moment, 1.0 AS infinite FROM range(2000) t(i)`,
    current,
  );
  connection.closeSync();
  instance.closeSync();
});
afterAll(() => rm(folder, { recursive: true }));

describe("comparing two Parquet files", () => {
  test("gives each column the default test of its type, and a reason where there is none", async () => {
    const { columns, datasetDrift } = await compareParquet(reference, current);
    const byName = new Map(columns.map((each) => [each.column, each]));
    expect(byName.get("steady")).toMatchObject({ test: "wasserstein", value: 0, verdict: "NO_DRIFT", threshold: 0.1 });
    expect(byName.get("moved")).toMatchObject({ test: "wasserstein", verdict: "DRIFT" });
    expect(byName.get("few")).toMatchObject({ test: "jensenshannon", value: 0, verdict: "NO_DRIFT" });
    expect(byName.get("letter")).toMatchObject({ test: "jensenshannon", verdict: "DRIFT" });
    expect(byName.get("note")).toMatchObject({ verdict: "NO_DATA", error: expect.stringContaining("text") });
    expect(byName.get("empty")).toMatchObject({ verdict: "NO_DATA", error: "no data in reference" });
    expect(byName.get("infinite")).toMatchObject({ verdict: "NO_DATA", error: "no data in reference" });
    expect(byName.get("moment")).toMatchObject({ verdict: "NO_DATA", error: expect.stringContaining("TIMESTAMP") });
    expect(byName.has("only_here")).toBe(false);
    expect(datasetDrift).toBe(true);
  });

  test("applies the tests that are asked for, and says where one does not fit", async () => {
    const { columns } = await compareParquet(reference, current, {
      tests: ["ks", "psi", "default"],
      columns: ["moved", "letter"],
    });
    expect(columns.map(({ column, test, verdict }) => [column, test, verdict])).toEqual([
      ["moved", "ks", "DRIFT"],
      ["moved", "psi", "DRIFT"],
      ["moved", "wasserstein", "DRIFT"],
      ["letter", "ks", "NO_DATA"],
      ["letter", "psi", "DRIFT"],
      ["letter", "jensenshannon", "DRIFT"],
    ]);
  });

  test("refuses an absent file, another file, an unknown test and an unknown column, naming the field", async () => {
    for (const [attempt, field] of [
      [() => compareParquet(join(folder, "none.parquet"), current), "reference"],
      [() => compareParquet(reference, new URL(import.meta.url).pathname), "current"],
      [() => compareParquet(reference, current, { tests: ["tvd"] }), "tests"],
      [() => compareParquet(reference, current, { columns: ["only_here"] }), "columns"],
    ] as const) {
      const error: unknown = await attempt().then(
        () => undefined,
        (reason: unknown) => reason,
      );
      if (!(error instanceof ComparisonInvalidError)) throw new Error(`expected a ComparisonInvalidError for ${field}`);
      expect(error.details.violations?.[0]?.field).toBe(field);
    }
  });
});
