import { create } from "@bufbuild/protobuf";
import { type ColumnLayout, ColumnLayoutSchema } from "@millrace/contracts/millrace/model/v1/model_package";
import { quantileOfSorted } from "../block-bootstrap.ts";
import { type ColumnData, isNumeric } from "./column-data.ts";

export interface LayoutOptions {
  /** Most bins of about equal mass for numbers. Default 100. */
  readonly quantileBins?: number;
  /** Most categories that get a bin of their own, the most frequent first. Default 100. */
  readonly categories?: number;
}

/** 0.1 % of the baseline's rows lie below, and 0.1 % above, the range in which distances are measured. */
const CLIP_SHARE = 0.001;

/**
 * Chooses how a column is profiled from then on. Numbers: one bin a distinct value up to `quantileBins` of them, else
 * bins of about equal mass between the 0.1 % and 99.9 % quantiles, so that rows outside of that range have bins of their
 * own. A column without any finite value has one bin. Categories: the most frequent ones.
 */
export const fitColumnLayout = (column: ColumnData, options: LayoutOptions = {}): ColumnLayout => {
  const { quantileBins = 100, categories = 100 } = options;
  const common = { name: column.name, meaning: column.meaning, output: column.output ?? false };
  if (!isNumeric(column.meaning))
    return create(ColumnLayoutSchema, { ...common, categories: mostFrequent(column, categories) });
  const sorted = sortedFinite(column);
  if (sorted.length === 0) return create(ColumnLayoutSchema, common);
  const clipLow = quantileOfSorted(sorted, CLIP_SHARE);
  const clipHigh = quantileOfSorted(sorted, 1 - CLIP_SHARE);
  return create(ColumnLayoutSchema, {
    ...common,
    clipLow,
    clipHigh,
    edges: innerEdges(sorted, clipLow, clipHigh, quantileBins),
  });
};

const innerEdges = (sorted: Float64Array, clipLow: number, clipHigh: number, quantileBins: number): number[] => {
  const distinct = distinctUpTo(sorted, quantileBins);
  if (distinct !== undefined) return [...distinct, nextAbove(distinct.at(-1) as number)];
  const edges = [clipLow];
  for (let bin = 1; bin < quantileBins; bin++) {
    const edge = sorted[Math.floor((bin * sorted.length) / quantileBins)] as number;
    if (edge > (edges.at(-1) as number) && edge < clipHigh) edges.push(edge);
  }
  if (clipHigh > (edges.at(-1) as number)) edges.push(clipHigh);
  return edges;
};

const distinctUpTo = (sorted: Float64Array, most: number): number[] | undefined => {
  const distinct: number[] = [];
  for (let index = 0; index < sorted.length; index++) {
    const value = sorted[index] as number;
    if (value === distinct.at(-1)) continue;
    if (distinct.length === most) return undefined;
    distinct.push(value === 0 ? 0 : value);
  }
  return distinct;
};

/** The next double above. */
const nextAbove = (value: number): number => {
  if (value === 0) return Number.MIN_VALUE;
  const bits = new BigInt64Array(new Float64Array([value]).buffer);
  bits[0] = (bits[0] as bigint) + (value > 0 ? 1n : -1n);
  return new Float64Array(bits.buffer)[0] as number;
};

const sortedFinite = ({ values, nulls }: ColumnData): Float64Array => {
  const finite = new Float64Array(values.length);
  let count = 0;
  for (let row = 0; row < values.length; row++) {
    const value = values[row];
    if (nulls?.[row] === 1 || typeof value !== "number" || !Number.isFinite(value)) continue;
    finite[count++] = value;
  }
  return finite.subarray(0, count).sort();
};

const mostFrequent = ({ values, nulls }: ColumnData, most: number): string[] => {
  const counts = new Map<string, number>();
  for (let row = 0; row < values.length; row++) {
    const value = values[row];
    if (nulls?.[row] === 1 || value === null || value === undefined || Number.isNaN(value)) continue;
    const category = String(value);
    counts.set(category, (counts.get(category) ?? 0) + 1);
  }
  return [...counts]
    .sort(([nameA, a], [nameB, b]) => b - a || (nameA < nameB ? -1 : 1))
    .slice(0, most)
    .map(([name]) => name);
};
