/*
 * A monitor as the service works with it: every default filled in, every duration a number. Made from the protobuf
 * message in one place, which is also where a definition is checked.
 */

import { create } from "@bufbuild/protobuf";
import {
  Drift_Thresholds,
  DriftSchema,
  type Monitor,
  MonitorSchema,
  type Rule,
  Rule_Kind,
  RuleSchema,
  WindowsSchema,
} from "@millrace/contracts/millrace/monitoring/v1/monitor";
import type { FieldViolation } from "@millrace/errors";
import { Calendar, TimeZoneUnknownError, type WindowLength, windowLengths } from "@millrace/stats";
import { kindOfMeasure, measureNames, modelMeasures } from "../windows/measure-names.ts";
import { MonitorInvalidError } from "./monitor-invalid-error.ts";

export interface WatchRules {
  /** The message, with its defaults filled in. */
  readonly monitor: Monitor;
  readonly length: WindowLength;
  readonly calendar: Calendar;
  /** Counts are kept by day, or by hour where windows are hours: longer windows are merged from them. */
  readonly baseLength: "1h" | "1d";
  readonly settleUs: bigint;
  readonly labelTimeToLiveMs: number;
  readonly minRows: number;
  readonly fixedThreshold: number;
  readonly thresholds: Drift_Thresholds;
  readonly reportOnly: ReadonlySet<string>;
  /** Of measures that a rule names, or else the defaults. */
  readonly rules: readonly Rule[];
  readonly coolDownUs: bigint;
}

const DEFAULT_MIN_ROWS = 500n;
const DEFAULT_FIXED_THRESHOLD = 0.1;
const DEFAULT_HYSTERESIS = 0.1;

/** The rules of a model for which none was applied. */
export const defaultMonitor = (model: string): Monitor => create(MonitorSchema, { name: "default", model });

/**
 * Rules that hold unless the monitor has one of the same measure. Log loss is judged against what the model itself
 * expects, not against the evaluation: where more of the flights are late, a good model's log loss rises too.
 */
const defaultRules: readonly Rule[] = [
  create(RuleSchema, {
    name: "roc_auc",
    measure: "ROC_AUC",
    condition: { case: "belowEvaluationBy", value: 0.1 },
    kind: Rule_Kind.PERFORMANCE,
  }),
  create(RuleSchema, {
    name: "log_loss_excess",
    measure: "LOG_LOSS_EXCESS",
    condition: { case: "above", value: 0.1 },
    kind: Rule_Kind.PERFORMANCE,
  }),
  create(RuleSchema, {
    name: "duplicates",
    measure: "DUPLICATE_SHARE",
    condition: { case: "above", value: 0.01 },
    kind: Rule_Kind.DATA_QUALITY,
  }),
];

/** @throws MonitorInvalidError listing every field that is wrong. */
export const watchRules = (given: Monitor): WatchRules => {
  const violations: FieldViolation[] = [];
  const windows = given.windows ?? create(WindowsSchema);
  const drift = given.drift ?? create(DriftSchema);
  const length = windowLengths.find((each) => each === (windows.length || "1d"));
  if (length === undefined)
    violations.push({ field: "windows.length", expected: windowLengths.join(", "), got: windows.length });
  let calendar = new Calendar();
  try {
    calendar = new Calendar(windows.timeZone || "UTC");
  } catch (error) {
    if (!(error instanceof TimeZoneUnknownError)) throw error;
    violations.push({ field: "windows.time_zone", expected: "an IANA time zone", got: windows.timeZone });
  }
  const settleMs = duration("windows.settle", windows.settle || "5m", violations);
  const labelTimeToLiveMs = duration("windows.label_time_to_live", windows.labelTimeToLive || "30d", violations);
  const coolDownMs = duration("actions.start_run.cool_down", given.actions?.startRun?.coolDown || "1d", violations);
  if (length === "1h" && drift.thresholds === Drift_Thresholds.FROM_BASELINE_WINDOWS)
    violations.push({
      field: "drift.thresholds",
      expected: "FIXED for windows of 1h, since baselines are kept by day",
      got: "FROM_BASELINE_WINDOWS",
    });
  for (const [column, threshold] of Object.entries(drift.thresholdByColumn))
    if (!(threshold >= 0))
      violations.push({ field: `drift.threshold_by_column[${column}]`, expected: "0 or more", got: String(threshold) });
  if (drift.minRows < 0n)
    violations.push({ field: "drift.min_rows", expected: "0 or more", got: String(drift.minRows) });
  given.rules.forEach((rule, index) => {
    if (!measureNames.includes(rule.measure))
      violations.push({ field: `rules[${index}].measure`, expected: measureNames.join(", "), got: rule.measure });
    if (rule.column !== "" && modelMeasures.has(rule.measure))
      violations.push({
        field: `rules[${index}].column`,
        expected: `none, since ${rule.measure} is a measure of the model`,
        got: rule.column,
      });
    if (!(rule.hysteresis >= 0 && rule.hysteresis < 1))
      violations.push({
        field: `rules[${index}].hysteresis`,
        expected: "from 0 up to 1",
        got: String(rule.hysteresis),
      });
  });
  const webhook = given.actions?.webhook ?? "";
  if (webhook !== "" && !/^https?:$/.test(URL.parse(webhook)?.protocol ?? ""))
    violations.push({ field: "actions.webhook", expected: "an http or https URL", got: webhook });
  if (given.slices.length > MAX_SLICES)
    violations.push({ field: "slices", expected: `at most ${MAX_SLICES}`, got: String(given.slices.length) });
  if (violations.length > 0 || length === undefined) throw new MonitorInvalidError(violations);

  const minRows = drift.minRows === 0n ? DEFAULT_MIN_ROWS : drift.minRows;
  const fixedThreshold = drift.fixedThreshold > 0 ? drift.fixedThreshold : DEFAULT_FIXED_THRESHOLD;
  const thresholds =
    drift.thresholds === Drift_Thresholds.THRESHOLDS_UNSPECIFIED && length === "1h"
      ? Drift_Thresholds.FIXED
      : drift.thresholds;
  const rules = [
    ...given.rules,
    ...defaultRules.filter(({ measure }) => given.rules.every((rule) => rule.measure !== measure)),
  ].map((rule) =>
    create(RuleSchema, {
      ...rule,
      kind: rule.kind === Rule_Kind.KIND_UNSPECIFIED ? kindOfMeasure(rule.measure) : rule.kind,
      forWindows: rule.forWindows === 0 ? 1 : rule.forWindows,
      hysteresis: rule.hysteresis === 0 ? DEFAULT_HYSTERESIS : rule.hysteresis,
      minRows: rule.minRows === 0n ? minRows : rule.minRows,
    }),
  );
  return {
    monitor: create(MonitorSchema, {
      ...given,
      windows: create(WindowsSchema, {
        length,
        timeZone: calendar.timeZone,
        settle: windows.settle || "5m",
        labelTimeToLive: windows.labelTimeToLive || "30d",
      }),
      drift: create(DriftSchema, { ...drift, thresholds, minRows, fixedThreshold }),
    }),
    length,
    calendar,
    baseLength: length === "1h" ? "1h" : "1d",
    settleUs: BigInt(settleMs) * 1000n,
    labelTimeToLiveMs,
    minRows: Number(minRows),
    fixedThreshold,
    thresholds,
    reportOnly: new Set(drift.reportOnly),
    rules,
    coolDownUs: BigInt(coolDownMs) * 1000n,
  };
};

const MAX_SLICES = 4;
const UNITS_MS = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** @returns milliseconds. */
const duration = (field: string, text: string, violations: FieldViolation[]): number => {
  const parts = /^(\d{1,9})([smhd])$/.exec(text);
  const unit = parts?.[2];
  if (parts === null || !(unit === "s" || unit === "m" || unit === "h" || unit === "d")) {
    violations.push({ field, expected: "a duration such as 30s, 5m, 12h, 30d", got: text });
    return 0;
  }
  return Number(parts[1]) * UNITS_MS[unit];
};
