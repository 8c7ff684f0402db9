import { create } from "@bufbuild/protobuf";
import { type GateResult, GateResultSchema, type Metric } from "@millrace/contracts/millrace/model/v1/model_package";
import type { Gate } from "@millrace/contracts/millrace/training/v1/training_spec";
import { higherIsBetter } from "@millrace/stats";

/** By how much the champion is better in a metric: positive where it is. */
export interface ChampionDifference {
  readonly value: number;
  /** Upper end of the paired interval; the value itself where none could be computed. */
  readonly upper: number;
}

/**
 * Judges each gate. A gate against a champion goes by the upper end of the paired interval, and is passed where there
 * is no champion yet.
 * @param championDifferences by metric; undefined where there is no champion.
 */
export const judgeGates = (
  gates: readonly Gate[],
  metrics: readonly Metric[],
  championDifferences: ReadonlyMap<string, ChampionDifference> | undefined,
): GateResult[] =>
  gates.map(({ metric, rule }) => {
    const value = metrics.find(({ name }) => name === metric)?.value ?? Number.NaN;
    switch (rule.case) {
      case "atLeast":
        return result(metric, `${metric} at least ${rule.value}`, value, value >= rule.value);
      case "atMost":
        return result(metric, `${metric} at most ${rule.value}`, value, value <= rule.value);
      case "notWorseThanChampionBy": {
        const difference = championDifferences?.get(metric);
        const text = `${metric} not worse than the champion's by ${rule.value}`;
        return difference === undefined
          ? result(metric, `${text} (there is no champion yet)`, value, true)
          : result(
              metric,
              `${text}, at the upper end of the interval`,
              difference.upper,
              difference.upper <= rule.value,
            );
      }
      default:
        return result(metric, "no rule", value, false);
    }
  });

/** Positive where the champion is better. */
export const worseBy = (metric: string, challenger: number, champion: number): number =>
  higherIsBetter(metric) ? champion - challenger : challenger - champion;

const result = (metric: string, rule: string, value: number, passed: boolean): GateResult =>
  create(GateResultSchema, { metric, rule, value, passed });
