import type { Prediction } from "@millrace/contracts/millrace/event/v1/event";
import type { Value } from "@millrace/contracts/millrace/feature/v1/column";
import type { ColumnProfiler, ProfileBuilder } from "@millrace/stats";
import type { WatchedPackage } from "../packages/watched-package.ts";

/**
 * Adds one prediction to a profile: each served feature and each output to its column, the score to the quality. Runs
 * for every prediction, so it allocates nothing.
 */
export const countRow = (
  builder: ProfileBuilder,
  watched: WatchedPackage,
  prediction: Prediction,
  score: number | undefined,
): void => {
  builder.addRows(1);
  const { columnOf } = watched;
  const { columns } = builder;
  for (const feature of prediction.features) {
    const column = columns[columnOf.get(feature.name) ?? -1];
    if (column === undefined) continue;
    column.addStatus(feature.status);
    addValue(column, feature.value);
  }
  for (const output of prediction.outputs) {
    const column = columns[columnOf.get(output.name) ?? -1];
    if (column === undefined) continue;
    if (output.name === watched.scoreOutput) {
      if (score === undefined) column.addNull();
      else column.addNumber(score);
    } else if (output.values.length === 1) column.addNumber(output.values[0] as number);
    else if (output.strings.length === 1) column.addString(output.strings[0] as string);
    else column.addWrongType();
  }
  if (score !== undefined) builder.performance?.addScore(score);
};

const addValue = (column: ColumnProfiler, value: Value | undefined): void => {
  const inner = value?.value;
  switch (inner?.case) {
    case undefined:
      column.addNull();
      return;
    case "double":
    case "float":
      column.addNumber(inner.value);
      return;
    case "int64":
    case "timestampUs":
      column.addNumber(Number(inner.value));
      return;
    case "bool":
      if (column.numeric) column.addNumber(inner.value ? 1 : 0);
      else column.addString(String(inner.value));
      return;
    case "string":
      // A null string goes into a graph as the empty string.
      column.addString(inner.value);
      return;
    default:
      column.addWrongType();
  }
};

/** The text of a served value, for the name of a slice. */
export const textOf = (value: Value | undefined): string => {
  const inner = value?.value;
  if (inner?.case === undefined) return "(null)";
  return typeof inner.value === "object" ? "(other)" : String(inner.value);
};
