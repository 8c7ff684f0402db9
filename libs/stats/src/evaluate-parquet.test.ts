import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DuckDBInstance } from "@duckdb/node-api";
import { afterAll, describe, expect, test } from "vitest";
import { evaluateParquet } from "./evaluate-parquet.ts";

interface Fixtures {
  readonly binary: readonly {
    readonly name: string;
    readonly labels: number[];
    readonly scores: number[];
    readonly weights: number[];
    readonly metrics: Record<string, number>;
    readonly weighted: Record<string, number>;
  }[];
  readonly regression: readonly {
    name: string;
    truth: number[];
    estimates: number[];
    metrics: Record<string, number>;
  }[];
}
const fixtures: Fixtures = JSON.parse(readFileSync(new URL("../fixtures/metrics.json", import.meta.url), "utf8"));
const folder = mkdtempSync(join(tmpdir(), "evaluate-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** Writes rows as Parquet. @param columns as SQL of a row's JSON members. */
const parquet = async (name: string, rows: readonly object[], columns: string): Promise<string> => {
  const instance = await DuckDBInstance.create(":memory:");
  const connection = await instance.connect();
  const path = join(folder, name);
  try {
    const json = `${path}.json`;
    writeFileSync(json, rows.map((row) => JSON.stringify(row)).join("\n"));
    const read = `read_json('${json}', format = 'newline_delimited', columns = {y: 'DOUBLE', p: 'DOUBLE', w: 'DOUBLE', g: 'VARCHAR'})`;
    await connection.run(`COPY (SELECT ${columns} FROM ${read}) TO '${path}' (FORMAT parquet)`);
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
  return path;
};

const relative = (value: number, expected: number) => Math.abs(value - expected) / Math.max(Math.abs(expected), 1e-3);

const expectEqual = (
  measured: readonly { metric: string; value: number | null }[],
  expected: Record<string, number>,
) => {
  for (const [name, figure] of Object.entries(expected)) {
    const value = measured.find(({ metric }) => metric === name)?.value;
    expect(value, name).toBeTypeOf("number");
    expect(relative(value ?? Number.NaN, figure), name).toBeLessThan(1e-9);
  }
};

describe.each(fixtures.binary)("a table of $name", ({ name, labels, scores, weights, metrics, weighted }) => {
  const rows = labels.map((label, row) => ({ y: label, p: scores[row], w: weights[row] }));

  test("has scikit-learn's figures, weighted too, whatever the type of its labels", async () => {
    for (const label of ["y", "y::TINYINT", "y = 1", "y::DECIMAL(4, 1)"]) {
      const path = await parquet(`${name}.parquet`, rows, `${label} AS "the label", p, w`);
      const columns = { label: "the label", prediction: "p" };
      const task = "binary" as const;
      expectEqual(await evaluateParquet(path, { ...columns, task, metrics: Object.keys(metrics) }), metrics);
      const names = Object.keys(weighted);
      expectEqual(await evaluateParquet(path, { ...columns, task, weight: "w", metrics: names }), weighted);
    }
  });
});

describe.each(fixtures.regression)("a table of $name", ({ name, truth, estimates, metrics }) => {
  test("has scikit-learn's figures", async () => {
    const rows = truth.map((value, row) => ({ y: value, p: estimates[row] }));
    const path = await parquet(`${name}.parquet`, rows, "y, p");
    const given = { label: "y", prediction: "p", task: "regression" as const };
    expectEqual(await evaluateParquet(path, { ...given, metrics: Object.keys(metrics) }), metrics);
    const all = await evaluateParquet(path, given);
    expect(all.map(({ metric }) => metric)).toEqual(["RMSE", "MAE", "R2", "PINBALL_10", "PINBALL_50", "PINBALL_90"]);
  });
});

describe("slices", () => {
  const rows = [
    ...[0.9, 0.8, 0.3, 0.1].map((p, row) => ({ y: row < 2 ? 1 : 0, p, g: "good" })),
    ...[0.2, 0.4, 0.6, 0.7].map((p, row) => ({ y: row < 2 ? 1 : 0, p, g: "bad" })),
    ...[0.5, 0.6].map((p) => ({ y: 1, p, g: "one class" })),
    { y: 0, p: 0.5, g: null },
  ];

  test("come after the whole, the worst first; a metric without a value says why", async () => {
    const path = await parquet("slices.parquet", rows, "y, p, g");
    const measured = await evaluateParquet(path, { label: "y", prediction: "p", slices: ["g"], metrics: ["ROC_AUC"] });
    const { value: overall, ...whole } = measured[0] ?? { value: null };
    expect(whole).toEqual({ metric: "ROC_AUC", slice: null, sliceColumn: null, rows: 11 });
    expect(overall).toBeCloseTo(19 / 30, 12);
    const error = { reason: "one class", message: "ROC_AUC has no value on these rows: one class." };
    expect(measured.slice(1)).toEqual([
      { metric: "ROC_AUC", slice: "bad", sliceColumn: "g", rows: 4, value: 0 },
      { metric: "ROC_AUC", slice: "good", sliceColumn: "g", rows: 4, value: 1 },
      { metric: "ROC_AUC", slice: "one class", sliceColumn: "g", rows: 2, value: null, error },
      { metric: "ROC_AUC", slice: "null", sliceColumn: "g", rows: 1, value: null, error },
    ]);
  });

  test("of too few rows are left out", async () => {
    const path = await parquet("few.parquet", rows, "y, p, g");
    const options = { label: "y", prediction: "p", slices: ["g"], metrics: ["BRIER"], minSliceRows: 4 };
    expect((await evaluateParquet(path, options)).map(({ slice }) => slice)).toEqual([null, "bad", "good"]);
  });
});

describe("a table that cannot be evaluated", () => {
  const given = { label: "y", prediction: "p" };
  const field = (name: string, got?: string) => ({
    violations: [expect.objectContaining({ field: name, ...(got === undefined ? {} : { got }) })],
  });
  const refusal = (path: string, options: object) =>
    evaluateParquet(path, { ...given, ...options }).catch((error: { details: unknown }) => error.details);

  test("names column, expectation and what came", async () => {
    const path = await parquet(
      "refused.parquet",
      [
        { y: 1, p: 0.5, w: -1, g: "a" },
        { y: 2, p: null, w: 1, g: "b" },
      ],
      "y, p, w, g",
    );
    expect(await refusal(path, { label: "Y" })).toMatchObject(field("label", "Y"));
    expect(await refusal(path, { label: "g" })).toMatchObject(field("label", "VARCHAR"));
    expect(await refusal(path, { slices: ["x"] })).toMatchObject(field("slice", "x"));
    expect(await refusal(path, {})).toMatchObject(field("prediction", "null in row 1"));
    expect(await refusal(path, { prediction: "y", weight: "w" })).toMatchObject(field("weight", "-1"));
    expect(await refusal(path, { prediction: "y", task: "binary" })).toMatchObject(field("label", "2"));
    expect(await refusal(path, { prediction: "y", metrics: ["AUC"] })).toMatchObject(field("metric", "AUC"));
    expect(await refusal(join(folder, "none.parquet"), {})).toMatchObject(field("table"));
    const empty = await parquet("empty.parquet", [], "y, p");
    expect(await refusal(empty, {})).toMatchObject(field("table", "none"));
  });

  test("has rank metrics of scores that are no probabilities, and says why it has no others", async () => {
    const path = await parquet(
      "scores.parquet",
      [
        { y: 1, p: 3 },
        { y: 0, p: -2 },
      ],
      "y, p",
    );
    const measured = await evaluateParquet(path, given);
    expect(measured.find(({ metric }) => metric === "ROC_AUC")?.value).toBe(1);
    expect(measured.find(({ metric }) => metric === "LOG_LOSS")).toMatchObject({
      value: null,
      error: { reason: "not a probability" },
    });
  });
});
