import type { Prediction } from "@millrace/contracts/millrace/event/v1/event";
import { isNumeric } from "@millrace/stats";
import type { WatchedPackage } from "../packages/watched-package.ts";
import { textOf } from "./count-row.ts";

/** Most values of a column that are counted apart: the baseline's most frequent ones. */
export const SLICE_VALUES = 20;

/**
 * The slices of a row, `column=value`: bounded by the baseline's most frequent categories, so that every replica takes
 * the same ones; other values are `(other)`. A column of numbers, or one that the baseline lacks, makes no slice.
 */
export const slicesOf = (columns: readonly string[], watched: WatchedPackage, prediction: Prediction): string[] => {
  const slices: string[] = [];
  for (const name of columns) {
    const index = watched.columnOf.get(name);
    const layout = index === undefined ? undefined : watched.layouts[index];
    if (layout === undefined || isNumeric(layout.meaning)) continue;
    const feature = prediction.features.find((each) => watched.columnOf.get(each.name) === index);
    if (feature === undefined) continue;
    const text = textOf(feature.value);
    const position = layout.categories.indexOf(text);
    const known = text === "(null)" || (position >= 0 && position < SLICE_VALUES);
    slices.push(`${name}=${known ? text : "(other)"}`);
  }
  return slices;
};
