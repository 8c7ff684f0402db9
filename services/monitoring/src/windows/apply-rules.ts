import type { Rule } from "@millrace/contracts/millrace/monitoring/v1/monitor";
import { Rule_Kind } from "@millrace/contracts/millrace/monitoring/v1/monitor";
import type { ColumnMeasures, Measure } from "@millrace/contracts/millrace/monitoring/v1/monitoring_service";
import type { WatchRules } from "../monitors/watch-rules.ts";
import type { WatchedPackage } from "../packages/watched-package.ts";
import { kindOfMeasure } from "./measure-names.ts";

/** One measure that is judged in one window. */
export interface Judgement {
  readonly kind: "DRIFT" | "DATA_QUALITY" | "PERFORMANCE";
  /** Empty for measures of the model. */
  readonly column: string;
  readonly output: boolean;
  readonly measure: string;
  readonly value: number;
  readonly threshold: number;
  /** Whether larger values violate. */
  readonly above: boolean;
  readonly violated: boolean;
  /** Whether the value has come back far enough that an open alert may clear. */
  readonly cleared: boolean;
  readonly forWindows: number;
  readonly direction: string;
}

/**
 * Puts the monitor's rules on a window's measures: sets `threshold` and `violated` of each measure that is judged, and
 * answers the judgements. A measure without a value, or with too few rows, is not judged.
 */
export const applyRules = (
  rules: WatchRules,
  watched: WatchedPackage,
  columns: readonly ColumnMeasures[],
  measures: readonly Measure[],
): Judgement[] => {
  const judgements: Judgement[] = [];
  const ruled = (measure: Measure, column: ColumnMeasures | undefined) => {
    const own = rules.rules.filter(
      (rule) => rule.measure === measure.name && (rule.column === "" || rule.column === column?.column),
    );
    if (own.length > 0 && column !== undefined && !rules.reportOnly.has(column.column)) clearThreshold(measure);
    for (const rule of own) {
      const limit = limitOf(rule, watched);
      if (limit === undefined || measure.noValue !== "" || Number(measure.rows) < Number(rule.minRows)) continue;
      if (column !== undefined && rules.reportOnly.has(column.column) && kindOf(rule) === "DRIFT") continue;
      judgements.push(
        judge(measure, column, limit.threshold, limit.above, kindOf(rule), rule.hysteresis, rule.forWindows),
      );
    }
    if (own.length === 0 && measure.threshold !== undefined && measure.noValue === "")
      judgements.push(judge(measure, column, measure.threshold, true, kindOfName(measure.name), DEFAULT_HYSTERESIS, 1));
  };
  for (const measure of measures) ruled(measure, undefined);
  for (const column of columns) for (const measure of column.measures) ruled(measure, column);
  return judgements;
};

const DEFAULT_HYSTERESIS = 0.1;

/** Default thresholds give way to a rule of the same measure. */
const clearThreshold = (measure: Measure): void => {
  delete measure.threshold;
  measure.violated = false;
};

const judge = (
  measure: Measure,
  column: ColumnMeasures | undefined,
  threshold: number,
  above: boolean,
  kind: Judgement["kind"],
  hysteresis: number,
  forWindows: number,
): Judgement => {
  const { value } = measure;
  const violated = above ? value >= threshold : value <= threshold;
  const back = Math.abs(threshold) * hysteresis;
  if (measure.threshold === undefined || violated) measure.threshold = threshold;
  measure.violated ||= violated;
  return {
    kind,
    column: column?.column ?? "",
    output: column?.output ?? false,
    measure: measure.name,
    value,
    threshold,
    above,
    violated,
    cleared: above ? value < threshold - back : value > threshold + back,
    forWindows,
    direction: column?.direction ?? (above ? "UP" : "DOWN"),
  };
};

/** @returns undefined where the rule leans on an evaluation that the package does not have. */
const limitOf = ({ condition, measure }: Rule, watched: WatchedPackage) => {
  const evaluated = watched.manifest?.evaluation?.metrics.find(
    ({ name }) => name === measure.replace("ESTIMATED_", ""),
  );
  switch (condition.case) {
    case "above":
      return { threshold: condition.value, above: true };
    case "below":
      return { threshold: condition.value, above: false };
    case "belowEvaluationBy":
      return evaluated === undefined ? undefined : { threshold: evaluated.value - condition.value, above: false };
    case "aboveEvaluationBy":
      return evaluated === undefined ? undefined : { threshold: evaluated.value + condition.value, above: true };
    default:
      return undefined;
  }
};

const kindNames: Readonly<Record<number, Judgement["kind"]>> = {
  [Rule_Kind.DRIFT]: "DRIFT",
  [Rule_Kind.DATA_QUALITY]: "DATA_QUALITY",
  [Rule_Kind.PERFORMANCE]: "PERFORMANCE",
};

const kindOf = (rule: Rule): Judgement["kind"] => kindNames[rule.kind] ?? kindOfName(rule.measure);
const kindOfName = (measure: string): Judgement["kind"] => kindNames[kindOfMeasure(measure)] ?? "DATA_QUALITY";
