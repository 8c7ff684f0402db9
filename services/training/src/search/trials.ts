import type { Range, TrainingSpec } from "@millrace/contracts/millrace/training/v1/training_spec";
import { seededRandom } from "@millrace/stats";
import { deriveSeed } from "../derive-seed.ts";
import { parameterOf } from "./trial-parameters.ts";

export interface TrialParameters {
  /** From 1. */
  readonly number: number;
  readonly parameters: Readonly<Record<string, number>>;
}

export const mostTrials = 1000;

/** Among the purposes that seeds are derived for, the draws of a search. */
const drawing = 100;

/** The trials of a spec's search, always the same for the same spec; none without a search. */
export const trialsOf = (spec: TrainingSpec): TrialParameters[] => {
  const search = spec.search?.search;
  const settings =
    search?.case === "grid"
      ? combinations(Object.entries(search.value.over).map(([name, { values }]) => [name, values] as const))
      : search?.case === "random"
        ? draws(spec, search.value.trials, Object.entries(search.value.over))
        : [];
  return settings.map((parameters, index) => ({ number: index + 1, parameters }));
};

const combinations = (over: readonly (readonly [string, readonly number[]])[]): Record<string, number>[] =>
  over
    .toSorted(byName)
    .reduce<Record<string, number>[]>(
      (found, [name, values]) => found.flatMap((known) => values.map((value) => ({ ...known, [name]: value }))),
      [{}],
    );

const draws = (
  spec: TrainingSpec,
  trials: number,
  over: readonly (readonly [string, Range])[],
): Record<string, number>[] =>
  Array.from({ length: trials }, (_, trial) =>
    Object.fromEntries(
      over.toSorted(byName).map(([name, range], place) => {
        const value = draw(range, seededRandom(deriveSeed(spec.seed, drawing, trial, place))());
        return [name, parameterOf(spec, name)?.isWhole === true ? Math.round(value) : value];
      }),
    ),
  );

const draw = ({ range }: Range, share: number): number => {
  switch (range.case) {
    case "uniform":
      return range.value.low + share * (range.value.high - range.value.low);
    case "logUniform":
      return range.value.low * (range.value.high / range.value.low) ** share;
    case "choice":
      return range.value.values[Math.floor(share * range.value.values.length)] ?? Number.NaN;
    default:
      return Number.NaN;
  }
};

const byName = ([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number => (a < b ? -1 : 1);
