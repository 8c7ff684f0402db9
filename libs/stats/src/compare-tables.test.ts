import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DuckDBInstance } from "@duckdb/node-api";
import {
  Bool,
  DataType,
  DateMillisecond,
  Float32,
  Float64,
  Int32,
  Int64,
  Table,
  tableToIPC,
  Uint64,
  Utf8,
  vectorFromArray,
} from "apache-arrow";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { compareTables } from "./compare-tables.ts";
import { ComparisonInvalidError } from "./comparison-invalid-error.ts";

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

describe("comparing two tables", () => {
  test("gives each column the default test of its type, and a reason where there is none", async () => {
    const { columns, datasetDrift } = await compareTables({ parquet: reference }, { parquet: current });
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
    const { columns } = await compareTables(
      { parquet: reference },
      { parquet: current },
      {
        tests: ["ks", "psi", "default"],
        columns: ["moved", "letter"],
      },
    );
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
      [() => compareTables({ parquet: join(folder, "none.parquet") }, { parquet: current }), "reference"],
      [() => compareTables({ parquet: reference }, { parquet: new URL(import.meta.url).pathname }), "current"],
      [() => compareTables({ parquet: reference }, { parquet: current }, { tests: ["tvd"] }), "tests"],
      [() => compareTables({ parquet: reference }, { parquet: current }, { columns: ["only_here"] }), "columns"],
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

describe("an Arrow table", () => {
  const rows = Array.from({ length: 500 }, (_, row) => row);
  const table = new Table({
    number: vectorFromArray(
      rows.map((row) => (row % 7 === 0 ? null : row / 10)),
      new Float64(),
    ),
    single: vectorFromArray(
      rows.map((row) => row / 10),
      new Float32(),
    ),
    few: vectorFromArray(
      rows.map((row) => row % 4),
      new Int32(),
    ),
    many: vectorFromArray(
      rows.map((row) => BigInt(row)),
      new Int64(),
    ),
    wide: vectorFromArray(
      rows.map((row) => BigInt(row) * 2n ** 50n),
      new Uint64(),
    ),
    flag: vectorFromArray(
      rows.map((row) => row % 3 === 0),
      new Bool(),
    ),
    letter: vectorFromArray(
      rows.map((row) => (row % 2 === 0 ? "a" : "b")),
      new Utf8(),
    ),
    category: vectorFromArray(rows.map((row) => (row % 5 === 0 ? "x" : "y"))),
    moment: vectorFromArray(
      rows.map(() => new Date(0)),
      new DateMillisecond(),
    ),
  });
  const written = (kind: "stream" | "file") => ({ arrow: tableToIPC(table, kind) });
  const parquet = async (): Promise<{ parquet: string }> => {
    const path = join(folder, "arrow.parquet");
    const instance = await DuckDBInstance.create(":memory:");
    const connection = await instance.connect();
    await connection.run(`COPY (SELECT CASE WHEN i % 7 = 0 THEN NULL ELSE i / 10.0::DOUBLE END AS number, (i / 10.0)::FLOAT AS single,
      (i % 4)::INTEGER AS few, i AS many, (i * 1125899906842624::HUGEINT)::UBIGINT AS wide, i % 3 = 0 AS flag,
      CASE WHEN i % 2 = 0 THEN 'a' ELSE 'b' END AS letter, CASE WHEN i % 5 = 0 THEN 'x' ELSE 'y' END AS category,
      DATE '1970-01-01' AS moment FROM range(500) t(i)) TO '${path}' (FORMAT parquet)`);
    connection.closeSync();
    instance.closeSync();
    return { parquet: path };
  };

  test.each(["stream", "file"] as const)("that comes as a %s is what the same table in Parquet is", async (kind) => {
    expect(DataType.isDictionary(table.getChild("category")?.type)).toBe(true);
    const file = await parquet();
    const columns = table.schema.fields.map(({ name }) => name);
    for (const pair of [
      [written(kind), file],
      [file, written(kind)],
      [written(kind), written(kind)],
    ] as const) {
      const compared = await compareTables(pair[0], pair[1]);
      expect(compared.columns.map(({ column }) => column)).toEqual(columns);
      for (const { column, verdict, value, error } of compared.columns) {
        const expected = column === "moment" ? { verdict: "NO_DATA", value: null } : { verdict: "NO_DRIFT", value: 0 };
        expect.soft({ verdict, value: value ?? null }, `${column} ${error ?? ""}`).toEqual(expected);
      }
    }
    const moved = new Table({
      number: vectorFromArray(
        rows.map((row) => row + 1000),
        new Float64(),
      ),
    });
    const {
      columns: [drifted],
    } = await compareTables(file, { arrow: tableToIPC(moved, kind) });
    expect(drifted).toMatchObject({ column: "number", verdict: "DRIFT" });
  });

  test("is refused where it is none, names a column twice, or shares no column", async () => {
    const file = await parquet();
    const fields = async (bytes: Uint8Array) =>
      compareTables(file, { arrow: bytes }).then(
        () => [],
        (error: ComparisonInvalidError) => error.details.violations?.map(({ field }) => field),
      );
    expect(await fields(new TextEncoder().encode("no table at all"))).toEqual(["current.arrow"]);
    expect(await fields(new Uint8Array())).toEqual(["current.arrow"]);
    expect(await fields(written("stream").arrow.subarray(0, 700))).toEqual(["current.arrow"]);
    const other = new Table({ other: vectorFromArray([1], new Float64()) });
    expect(await fields(tableToIPC(other))).toEqual(["current"]);
  });
});
