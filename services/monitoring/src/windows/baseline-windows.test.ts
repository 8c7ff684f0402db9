import { create } from "@bufbuild/protobuf";
import { Meaning, ModelPackageSchema } from "@millrace/contracts/millrace/model/v1/model_package";
import { MonitorSchema } from "@millrace/contracts/millrace/monitoring/v1/monitor";
import { buildBaseline, wassersteinMeasure } from "@millrace/stats";
import { describe, expect, test } from "vitest";
import { watchRules } from "../monitors/watch-rules.ts";
import { watchedPackage } from "../packages/watched-package.ts";
import { BaselineWindows } from "./baseline-windows.ts";

/** January 2001 begins on a Monday: four whole weeks and three days. */
const JANUARY_US = 978_307_200_000_000n;
const rows = 31 * 100;
const baseline = buildBaseline({
  columns: [
    { name: "x", meaning: Meaning.NUMERIC, values: Array.from({ length: rows }, (_, row) => (row * 37) % 101) },
  ],
  eventTimesUs: BigInt64Array.from(
    { length: rows },
    (_, row) => JANUARY_US + BigInt(Math.floor(row / 100)) * 86_400_000_000n,
  ),
});
const watched = watchedPackage(create(ModelPackageSchema), baseline);
const rulesOf = (length: string, minRows: bigint) =>
  watchRules(create(MonitorSchema, { name: "w", model: "m", windows: { length }, drift: { minRows } }));

describe("the baseline's own windows", () => {
  test("are the whole ones of the monitor's length, with enough rows", () => {
    expect(new BaselineWindows(watched, rulesOf("7d", 1n)).count).toBe(4);
    expect(new BaselineWindows(watched, rulesOf("1d", 1n)).count).toBe(31);
    expect(new BaselineWindows(watched, rulesOf("1d", 101n)).count).toBe(0);
    expect(new BaselineWindows(watched, rulesOf("1h", 1n)).count).toBe(0);
  });

  test("are each measured against the rest", () => {
    const measured = new BaselineWindows(watched, rulesOf("7d", 1n)).measure(0, "WASSERSTEIN", wassersteinMeasure);
    expect(measured?.values).toHaveLength(4);
    expect(measured?.mean).toBeGreaterThan(0);
    expect(
      new BaselineWindows(watched, rulesOf("1h", 1n)).measure(0, "WASSERSTEIN", wassersteinMeasure),
    ).toBeUndefined();
  });
});
