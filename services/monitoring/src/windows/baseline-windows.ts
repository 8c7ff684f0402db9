import type { ColumnLayout, ColumnProfile, Profile } from "@millrace/contracts/millrace/model/v1/model_package";
import { Calendar, mergeProfiles, type StreamedMeasure } from "@millrace/stats";
import type { WatchRules } from "../monitors/watch-rules.ts";
import type { WatchedPackage } from "../packages/watched-package.ts";

/** A window of the baseline, and the rest of the baseline without it. */
interface BaselineWindow {
  readonly window: Profile;
  readonly rest: Profile;
}

/** A measure over the baseline's own windows. */
export interface BaselineMeasure {
  readonly mean: number;
  readonly deviation: number;
  /** Ascending. */
  readonly values: readonly number[];
}

/** From this many whole windows up, thresholds can come from the baseline. */
export const LEAST_WINDOWS = 4;

/**
 * The baseline cut into windows of the monitor's length. Each is measured against the rest of the baseline, not against
 * a whole that it is part of. Windows that the baseline covers in part, or with fewer rows than are judged, are left out.
 */
export class BaselineWindows {
  readonly #windows: readonly BaselineWindow[];
  readonly #layouts: readonly ColumnLayout[];
  readonly #measured = new Map<string, BaselineMeasure | undefined>();

  constructor(watched: WatchedPackage, rules: WatchRules) {
    this.#layouts = watched.layouts;
    this.#windows = cut(watched, rules);
  }

  get count(): number {
    return this.#windows.length;
  }

  /** @returns undefined for fewer than four windows with a value. */
  measure(
    column: number,
    name: string,
    of: (layout: ColumnLayout, normal: ColumnProfile, window: ColumnProfile) => StreamedMeasure,
  ): BaselineMeasure | undefined {
    const key = `${column} ${name}`;
    if (!this.#measured.has(key)) this.#measured.set(key, this.#measure(column, of));
    return this.#measured.get(key);
  }

  #measure(
    column: number,
    of: (layout: ColumnLayout, normal: ColumnProfile, window: ColumnProfile) => StreamedMeasure,
  ): BaselineMeasure | undefined {
    const layout = this.#layouts[column];
    if (layout === undefined) return undefined;
    const values: number[] = [];
    for (const { window, rest } of this.#windows) {
      const inWindow = window.columns[column];
      const normal = rest.columns[column];
      if (inWindow === undefined || normal === undefined) continue;
      const measure = of(layout, normal, inWindow);
      if ("value" in measure) values.push(measure.value);
    }
    if (values.length < LEAST_WINDOWS) return undefined;
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
    return {
      mean,
      deviation: Math.sqrt(squares / (values.length - 1)),
      values: values.toSorted((a, b) => a - b),
    };
  }
}

const cut = ({ baseline, layouts }: WatchedPackage, rules: WatchRules): BaselineWindow[] => {
  if (baseline === undefined || rules.length === "1h") return [];
  const calendar = new Calendar(baseline.timeZone || "UTC");
  const daysAWindow = rules.length === "7d" ? 7 : 1;
  const byWindow = Map.groupBy(baseline.days, ({ day }) => {
    const { fromUs } = calendar.windowOf(calendar.startOfDay(day), rules.length);
    return calendar.dayOf(fromUs);
  });
  const profilesOf = (days: readonly { readonly profile?: Profile | undefined }[]): Profile[] =>
    days.flatMap(({ profile }) => (profile === undefined ? [] : [profile]));
  const windows: BaselineWindow[] = [];
  for (const [first, days] of byWindow) {
    const window = mergeProfiles(layouts, profilesOf(days));
    if (days.length < daysAWindow || Number(window.rows) < rules.minRows) continue;
    const rest = baseline.days.filter(({ day }) => day < first || day >= first + daysAWindow);
    if (rest.length > 0) windows.push({ window, rest: mergeProfiles(layouts, profilesOf(rest)) });
  }
  return windows;
};
