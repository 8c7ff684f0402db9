import { create } from "@bufbuild/protobuf";
import { FeatureStatus } from "@millrace/contracts/millrace/feature/v1/column";
import type { ColumnLayout, ColumnProfile } from "@millrace/contracts/millrace/model/v1/model_package";
import { Drift_Thresholds } from "@millrace/contracts/millrace/monitoring/v1/monitor";
import {
  type ColumnMeasures,
  ColumnMeasuresSchema,
  type Measure,
  MeasureSchema,
} from "@millrace/contracts/millrace/monitoring/v1/monitoring_service";
import {
  isNumeric,
  jensenShannonMeasure,
  nullShareMeasure,
  outOfRangeShareMeasure,
  populationStabilityIndexMeasure,
  type StreamedMeasure,
  statusShareMeasure,
  unseenShareMeasure,
  wassersteinMeasure,
} from "@millrace/stats";
import type { WatchRules } from "../monitors/watch-rules.ts";
import { inputOf, type WatchedPackage } from "../packages/watched-package.ts";
import { type BaselineMeasure, type BaselineWindows, LEAST_WINDOWS } from "./baseline-windows.ts";
import type { CountedWindow } from "./window-reader.ts";

type MeasureOf = (layout: ColumnLayout, normal: ColumnProfile, window: ColumnProfile) => StreamedMeasure;

const driftMeasures: Readonly<Record<string, MeasureOf>> = {
  WASSERSTEIN: wassersteinMeasure,
  JENSEN_SHANNON: jensenShannonMeasure,
  PSI: populationStabilityIndexMeasure,
};

const shares: Readonly<Record<string, MeasureOf>> = {
  NULL_SHARE: (_, __, window) => nullShareMeasure(window),
  UNSEEN_SHARE: (layout, _, window) => unseenShareMeasure(layout, window),
  OUT_OF_RANGE_SHARE: (_, __, window) => outOfRangeShareMeasure(window),
  NOT_FOUND_SHARE: (_, __, window) => statusShareMeasure(window, FeatureStatus.NOT_FOUND),
  OUTSIDE_MAX_AGE_SHARE: (_, __, window) => statusShareMeasure(window, FeatureStatus.OUTSIDE_MAX_AGE),
  UNAVAILABLE_SHARE: (_, __, window) => statusShareMeasure(window, FeatureStatus.UNAVAILABLE),
};

/** A share must exceed the baseline's by this much, whatever its spread, before it counts as a violation. */
const SHARE_MARGIN = 0.05;
const DEVIATIONS = 3;

/** Measures every column of a window against the baseline. */
export const measureColumns = (
  { profile, watched }: CountedWindow,
  rules: WatchRules,
  baselineWindows: BaselineWindows,
): ColumnMeasures[] => {
  const { normal, layouts } = watched;
  if (normal === undefined) return [];
  const enough = Number(profile.rows) >= rules.minRows;
  return layouts.flatMap((layout, index) => {
    const inNormal = normal.columns[index];
    const inWindow = profile.columns[index];
    if (inNormal === undefined || inWindow === undefined) return [];
    const measured = (
      name: string,
      of: MeasureOf,
      thresholdOf: (baseline: BaselineMeasure | undefined) => number | undefined,
    ) => {
      const measure = of(layout, inNormal, inWindow);
      const baseline = baselineWindows.measure(index, name, of);
      return toMessage(name, measure, Number(profile.rows), baseline, enough ? thresholdOf(baseline) : undefined);
    };
    const numeric = isNumeric(layout.meaning);
    const drift = Object.entries(driftMeasures)
      .filter(([name]) => numeric || name !== "WASSERSTEIN")
      .map(([name, of]) =>
        measured(name, of, (baseline) =>
          name === (numeric ? "WASSERSTEIN" : "JENSEN_SHANNON")
            ? driftThreshold(layout.name, rules, baseline)
            : undefined,
        ),
      );
    const quality = Object.entries(shares)
      .filter(([name]) => applies(name, layout, inWindow, watched))
      .map(([name, of]) => measured(name, of, (baseline) => shareThreshold(of(layout, inNormal, inNormal), baseline)));
    return [
      create(ColumnMeasuresSchema, {
        column: layout.name,
        output: layout.output,
        measures: [...drift, ...quality],
        direction: numeric ? directionOf(inNormal, inWindow) : "",
        mean: inWindow.mean,
        baselineMean: inNormal.mean,
      }),
    ];
  });
};

/** @returns undefined where the column's drift is reported and not judged. */
const driftThreshold = (
  column: string,
  rules: WatchRules,
  baseline: BaselineMeasure | undefined,
): number | undefined => {
  if (rules.reportOnly.has(column)) return undefined;
  const own = rules.monitor.drift?.thresholdByColumn[column];
  if (own !== undefined) return own === 0 ? undefined : own;
  if (rules.thresholds === Drift_Thresholds.FIXED || baseline === undefined) return rules.fixedThreshold;
  return baseline.values.length < LEAST_WINDOWS
    ? rules.fixedThreshold
    : baseline.mean + DEVIATIONS * baseline.deviation;
};

const shareThreshold = (normal: StreamedMeasure, baseline: BaselineMeasure | undefined): number => {
  const share = "value" in normal ? normal.value : 0;
  return share + Math.max(SHARE_MARGIN, DEVIATIONS * (baseline?.deviation ?? 0));
};

const applies = (name: string, layout: ColumnLayout, window: ColumnProfile, watched: WatchedPackage): boolean => {
  if (name === "UNSEEN_SHARE") return !isNumeric(layout.meaning);
  if (name === "OUT_OF_RANGE_SHARE") {
    const input = inputOf(watched, layout.name);
    return input?.min !== undefined || input?.max !== undefined;
  }
  if (name === "NULL_SHARE") return !layout.output;
  return window.statuses.length > 0;
};

const directionOf = (normal: ColumnProfile, window: ColumnProfile): string =>
  window.count === 0n || window.mean === normal.mean ? "" : window.mean > normal.mean ? "UP" : "DOWN";

const toMessage = (
  name: string,
  measure: StreamedMeasure,
  rows: number,
  baseline: BaselineMeasure | undefined,
  threshold: number | undefined,
): Measure => {
  if (!("value" in measure)) return create(MeasureSchema, { name, rows: BigInt(rows), noValue: measure.noValue });
  const { value, errorBound } = measure;
  return create(MeasureSchema, {
    name,
    value,
    rows: BigInt(rows),
    ...(errorBound === undefined ? {} : { errorBound }),
    ...(baseline === undefined
      ? {}
      : { rank: baseline.values.filter((each) => each < value).length / baseline.values.length }),
    ...(threshold === undefined ? {} : { threshold, violated: value >= threshold }),
  });
};
