import type { Range, TrainingSpec } from "@millrace/contracts/millrace/training/v1/training_spec";
import { parameterNames, parameterOf } from "./trial-parameters.ts";
import { mostTrials } from "./trials.ts";

type Complain = (field: string, expected: string, got: string) => void;

/** What of a search cannot work: names that are no parameters, values that they cannot have, too many trials. */
export const checkSearch = (spec: TrainingSpec, complain: Complain): void => {
  const search = spec.search?.search;
  if (spec.search === undefined) return;
  if (search?.case === undefined) {
    complain("search", "random or grid", "neither");
    return;
  }
  const over = Object.entries(search.value.over);
  if (over.length === 0) complain(`search.${search.case}.over`, "at least one parameter", "none");
  if (search.case === "random") {
    const { trials } = search.value;
    if (trials < 1 || trials > mostTrials)
      complain("search.random.trials", `1 to ${mostTrials} trials`, String(trials));
    for (const [name, range] of Object.entries(search.value.over)) {
      checkValues(spec, `search.random.over[${name}]`, name, endsOf(range), range.range.case === "choice", complain);
      checkRange(`search.random.over[${name}]`, range, complain);
    }
    return;
  }
  const combinations = Object.values(search.value.over).reduce((product, { values }) => product * values.length, 1);
  if (combinations > mostTrials)
    complain("search.grid.over", `at most ${mostTrials} combinations`, String(combinations));
  for (const [name, { values }] of Object.entries(search.value.over)) {
    checkValues(spec, `search.grid.over[${name}]`, name, values, true, complain);
  }
};

const checkValues = (
  spec: TrainingSpec,
  field: string,
  name: string,
  values: readonly number[],
  isListed: boolean,
  complain: Complain,
): void => {
  const parameter = parameterOf(spec, name);
  if (parameter === undefined) {
    complain(field, parameterNames(spec), name);
    return;
  }
  if (values.length === 0) complain(field, "values", "none");
  const { least = Number.NEGATIVE_INFINITY, most = Number.POSITIVE_INFINITY, isWhole } = parameter;
  for (const value of values) {
    const isWrong = !Number.isFinite(value) || value < least || value > most;
    if (isWrong || (isListed && isWhole && !Number.isInteger(value))) {
      const kind = isWhole ? "whole numbers" : "numbers";
      const bounds =
        parameter.least === undefined ? "" : ` from ${least === Number.MIN_VALUE ? "above 0" : least} to ${most}`;
      complain(field, `${kind}${bounds}`, String(value));
    }
  }
};

const endsOf = ({ range }: Range): readonly number[] => {
  switch (range.case) {
    case "uniform":
    case "logUniform":
      return [range.value.low, range.value.high];
    case "choice":
      return range.value.values;
    default:
      return [];
  }
};

const checkRange = (field: string, { range }: Range, complain: Complain): void => {
  if (range.case === undefined) {
    complain(field, "one of uniform, log_uniform and choice", "none");
    return;
  }
  if (range.case === "choice") return;
  const { low, high } = range.value;
  if (!(low < high)) complain(field, "a low end below the high one", `${low} to ${high}`);
  if (range.case === "logUniform" && !(low > 0)) complain(field, "a low end above 0", String(low));
};
