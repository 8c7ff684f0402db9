import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { Drift_Thresholds, MonitorSchema } from "@millrace/contracts/millrace/monitoring/v1/monitor";
import { describe, expect, test } from "vitest";
import { MonitorInvalidError } from "./monitor-invalid-error.ts";
import { watchRules } from "./watch-rules.ts";

const rulesOf = (monitor: MessageInitShape<typeof MonitorSchema>) =>
  watchRules(create(MonitorSchema, { name: "w", model: "m", ...monitor }));

const fieldsOf = (monitor: MessageInitShape<typeof MonitorSchema>): string[] => {
  try {
    rulesOf(monitor);
  } catch (error) {
    if (error instanceof MonitorInvalidError) return error.details.violations?.map(({ field }) => field) ?? [];
    throw error;
  }
  return [];
};

describe("a monitor", () => {
  test("of which nothing is said watches by day, from 500 rows up", () => {
    expect(rulesOf({})).toMatchObject({ length: "1d", baseLength: "1d", minRows: 500, fixedThreshold: 0.1 });
    expect(rulesOf({}).rules.map(({ measure }) => measure)).toEqual(["ROC_AUC", "LOG_LOSS_EXCESS", "DUPLICATE_SHARE"]);
  });

  test("has its own rule in place of the default one of the measure", () => {
    const { rules } = rulesOf({ rules: [{ name: "r", measure: "ROC_AUC", condition: { case: "below", value: 0.6 } }] });
    expect(rules.filter(({ measure }) => measure === "ROC_AUC")).toMatchObject([
      { name: "r", forWindows: 1, minRows: 500n },
    ]);
  });

  test("names every field that is wrong at once", () => {
    expect(
      fieldsOf({
        windows: { length: "2w", timeZone: "Nowhere", settle: "soon", labelTimeToLive: "-1d" },
        drift: { thresholdByColumn: { x: -1 }, minRows: -5n },
        rules: [{ name: "r", measure: "AUC", hysteresis: 2, condition: { case: "above", value: 1 } }],
        actions: { webhook: "file:///etc/passwd" },
      }),
    ).toEqual([
      "windows.length",
      "windows.time_zone",
      "windows.settle",
      "windows.label_time_to_live",
      "drift.threshold_by_column[x]",
      "drift.min_rows",
      "rules[0].measure",
      "rules[0].hysteresis",
      "actions.webhook",
    ]);
  });

  test("cannot tie a measure of the model to a column", () => {
    const rule = { name: "r", measure: "ROC_AUC", column: "x", condition: { case: "below" as const, value: 0.6 } };
    expect(fieldsOf({ rules: [rule] })).toEqual(["rules[0].column"]);
  });

  test("of hours cannot take its thresholds from a baseline by day", () => {
    expect(
      fieldsOf({ windows: { length: "1h" }, drift: { thresholds: Drift_Thresholds.FROM_BASELINE_WINDOWS } }),
    ).toEqual(["drift.thresholds"]);
    expect(rulesOf({ windows: { length: "1h" } }).thresholds).toBe(Drift_Thresholds.FIXED);
  });
});
