import type { PredictedValue } from "@millrace/contracts/millrace/event/v1/event";
import {
  type Baseline,
  type Calibration,
  type ColumnLayout,
  type FeatureInput,
  Meaning,
  type ModelPackage,
  type Profile,
  Task,
} from "@millrace/contracts/millrace/model/v1/model_package";
import { type DeclaredRange, mergeProfiles, ProfileBuilder } from "@millrace/stats";

/** What monitoring needs of a package: its normal, its score, and who owns its inputs. */
export interface WatchedPackage {
  readonly manifest: ModelPackage | undefined;
  readonly baseline: Baseline | undefined;
  /** All days of the baseline together. */
  readonly normal: Profile | undefined;
  readonly layouts: readonly ColumnLayout[];
  readonly task: Task;
  /** Why nothing, or not all, is watched; empty where all is. */
  readonly message: string;
  /** Index of the layout by the name that a served feature or an output has. */
  readonly columnOf: ReadonlyMap<string, number>;
  /** Name of the output that is the score or estimate; undefined where the model has none. */
  readonly scoreOutput: string | undefined;
}

/** An empty profile on the layouts of a package. */
export const emptyProfile = (watched: WatchedPackage): ProfileBuilder =>
  new ProfileBuilder(watched.layouts, {
    ranges: declaredRanges(watched.manifest),
    performance: watched.task === Task.BINARY || watched.task === Task.REGRESSION,
    calibration: watched.manifest?.calibration,
  });

const declaredRanges = (manifest: ModelPackage | undefined): ReadonlyMap<string, DeclaredRange> => {
  const ranges = new Map<string, DeclaredRange>();
  for (const { feature, input, min, max } of manifest?.features?.inputs ?? [])
    for (const name of [feature, input]) ranges.set(name, { min, max });
  return ranges;
};

/** A package that cannot be read, or a bare model file: rows are counted, nothing is compared. */
export const unwatchedPackage = (message: string): WatchedPackage => ({
  manifest: undefined,
  baseline: undefined,
  normal: undefined,
  layouts: [],
  task: Task.TASK_UNSPECIFIED,
  message,
  columnOf: new Map(),
  scoreOutput: undefined,
});

export const watchedPackage = (manifest: ModelPackage, baseline: Baseline | undefined): WatchedPackage => {
  const layouts = baseline?.columns ?? [];
  const columnOf = new Map(layouts.map(({ name }, index) => [name, index]));
  for (const { feature, input } of manifest.features?.inputs ?? []) {
    const index = columnOf.get(feature) ?? columnOf.get(input);
    if (index === undefined) continue;
    columnOf.set(feature, index);
    columnOf.set(input, index);
  }
  return {
    manifest,
    baseline,
    normal:
      baseline === undefined
        ? undefined
        : mergeProfiles(
            layouts,
            baseline.days.flatMap(({ profile }) => (profile === undefined ? [] : [profile])),
          ),
    layouts,
    task: manifest.task,
    message: baseline === undefined ? "The package has no baseline: drift cannot be measured." : "",
    columnOf,
    scoreOutput: manifest.signature?.outputs.find(
      ({ meaning }) => meaning === (manifest.task === Task.REGRESSION ? Meaning.ESTIMATE : Meaning.PROBABILITY),
    )?.name,
  };
};

/** The score of the positive class, or the estimate of a regression; undefined where the answer has no single one. */
export const scoreOf = (watched: WatchedPackage, outputs: readonly PredictedValue[]): number | undefined => {
  const name = watched.scoreOutput;
  if (name === undefined) return undefined;
  const output = outputs.find((each) => each.name === name);
  const score =
    output?.values.length === 2 ? output.values[1] : output?.values.length === 1 ? output.values[0] : undefined;
  return score !== undefined && Number.isFinite(score) ? score : undefined;
};

/** How a column came into the package's features; undefined for outputs and for models that take tensors only. */
export const inputOf = (watched: WatchedPackage, column: string): FeatureInput | undefined =>
  watched.manifest?.features?.inputs.find(({ feature, input }) => feature === column || input === column);

/** The calibration map, for reports. */
export const calibrationOf = (watched: WatchedPackage): Calibration | undefined => watched.manifest?.calibration;
