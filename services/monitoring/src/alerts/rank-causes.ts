import { create } from "@bufbuild/protobuf";
import { type AlertCause, AlertCauseSchema } from "@millrace/contracts/millrace/event/v1/event";
import { inputOf, type WatchedPackage } from "../packages/watched-package.ts";
import type { Judgement } from "../windows/apply-rules.ts";

/** The most causes that an alert carries. */
const MOST_CAUSES = 20;

/**
 * The causes of an alert, the strongest first: by how many times the threshold is exceeded, times the feature's share of
 * the greatest permutation importance. Outputs, measures of the model, and features without a known importance count in
 * full.
 */
export const rankCauses = (watched: WatchedPackage, violations: readonly Judgement[]): AlertCause[] => {
  const greatest = Math.max(0, ...(watched.manifest?.features?.inputs.map(({ importance }) => importance) ?? []));
  const weight = ({ column, output, value, threshold, above }: Judgement): number => {
    const excess = above ? ratio(value, threshold) : ratio(threshold, value);
    if (column === "" || output || greatest <= 0) return excess;
    return excess * (Math.max(inputOf(watched, column)?.importance ?? greatest, 0) / greatest);
  };
  return violations
    .map((violation, index) => ({ violation, index, weight: weight(violation) }))
    .sort((a, b) => b.weight - a.weight || a.index - b.index)
    .slice(0, MOST_CAUSES)
    .map(({ violation: { column, measure, value, threshold, direction } }) => {
      const input = inputOf(watched, column);
      return create(AlertCauseSchema, {
        column,
        measure,
        value,
        threshold,
        direction,
        featureView: input?.featureView ?? "",
        source: input?.source ?? "",
      });
    });
};

const ratio = (value: number, threshold: number): number =>
  threshold > 0 && value > 0 ? value / threshold : 1 + Math.abs(value - threshold);
