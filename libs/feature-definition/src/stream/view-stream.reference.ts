import { createHash } from "node:crypto";
import { AggregateFunction } from "@millrace/contracts/millrace/feature/v1/feature_repository";
import type { AggregateView, CompiledAggregate, CompiledView, LatestRowView, Scalar } from "../compiled.ts";
import { countsIn, isDeletion } from "./event-filter.ts";
import { compareOrder, type SourceEvent } from "./source-event.ts";

/** The judge of the stream path: the values of a view at a time by looking at all events of one entity, slowly. */
export function referenceValues(view: CompiledView, events: readonly SourceEvent[], tUs: number): Scalar[] {
  const counted = events.filter(({ row }) => countsIn(view, row)).sort(compareOrder);
  return view.kind === "aggregate" ? aggregates(view, counted, tUs) : latest(view, counted, tUs);
}

function latest(view: LatestRowView, events: readonly SourceEvent[], tUs: number): Scalar[] {
  const newest = events.findLast(({ eventTimeUs }) => eventTimeUs <= tUs);
  const isOld = newest !== undefined && view.ttlUs !== undefined && tUs - newest.eventTimeUs > Number(view.ttlUs);
  return view.features.map(({ expression }) =>
    newest === undefined || isOld || isDeletion(view.source, newest.row) ? null : expression.evaluate(newest.row),
  );
}

function aggregates(view: AggregateView, events: readonly SourceEvent[], tUs: number): Scalar[] {
  return view.aggregates.map((aggregate) => {
    const hop = BigInt(aggregate.hopUs);
    const start = BigInt(tUs) - aggregate.windowUs;
    const from = start - (((start % hop) + hop) % hop);
    const inWindow = events.filter(({ eventTimeUs }) => BigInt(eventTimeUs) >= from && eventTimeUs < tUs);
    return aggregateOf(aggregate, inWindow);
  });
}

function aggregateOf(aggregate: CompiledAggregate, events: readonly SourceEvent[]): Scalar {
  const { of } = aggregate;
  if (of === undefined) return BigInt(events.length);
  const values = events.map(({ row }) => of.evaluate(row)).filter((value) => value !== null);
  if (aggregate.function === AggregateFunction.COUNT) return BigInt(values.length);
  if (values.length === 0) return null;
  const numbers = values.map(Number);
  const mean = numbers.reduce((sum, value) => sum + value, 0) / numbers.length;
  const variance = numbers.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (numbers.length - 1);
  switch (aggregate.function) {
    case AggregateFunction.SUM:
      return typeof values[0] === "bigint"
        ? values.reduce<bigint>((sum, value) => sum + BigInt(Number(value)), 0n)
        : numbers.reduce((sum, value) => sum + value, 0);
    case AggregateFunction.MEAN:
      return mean;
    case AggregateFunction.MIN:
      return extreme(values, (a, b) => a < b);
    case AggregateFunction.MAX:
      return extreme(values, (a, b) => a > b);
    case AggregateFunction.LAST:
      return values.at(-1) ?? null;
    case AggregateFunction.FIRST:
      return values[0] ?? null;
    case AggregateFunction.VARIANCE:
      return values.length < 2 ? null : variance;
    case AggregateFunction.STDDEV:
      return values.length < 2 ? null : Math.sqrt(variance);
    case AggregateFunction.LAST_N:
      return values.slice(-(aggregate.n ?? 1)).reverse();
    case AggregateFunction.DISTINCT_COUNT:
      return distinct(values);
    case AggregateFunction.APPROX_PERCENTILE:
      return percentile(numbers, aggregate.percentile ?? 1);
    default:
      throw new TypeError(`The reference does not know function ${aggregate.function}.`);
  }
}

function extreme(values: readonly Exclude<Scalar, null>[], beats: (a: Scalar & {}, b: Scalar & {}) => boolean): Scalar {
  if (values.some((value) => Number.isNaN(value))) return Number.NaN;
  return values.reduce((best, value) => (beats(value, best) ? value : best));
}

/** Few values are told apart by themselves; more by HyperLogLog from its definition, with the bits as text. */
function distinct(values: readonly Exclude<Scalar, null>[]): bigint {
  const texts = values.map((value) =>
    value instanceof Uint8Array ? Buffer.from(value).toString("latin1") : Buffer.from(String(value)).toString("latin1"),
  );
  const different = [...new Set(texts)];
  if (different.length <= 128) return BigInt(different.length);
  const registers = new Array<number>(4096).fill(0);
  for (const text of different) {
    const digits = createHash("md5").update(text, "latin1").digest("hex").slice(0, 12);
    const bits = BigInt(`0x${digits}`).toString(2).padStart(48, "0");
    const register = Number.parseInt(bits.slice(0, 12), 2);
    const zeros = /^0*/.exec(bits.slice(12))?.[0].length ?? 0;
    registers[register] = Math.max(registers[register] ?? 0, zeros + 1);
  }
  const estimate =
    ((0.7213 / (1 + 1.079 / 4096)) * 4096 ** 2) / registers.reduce((sum, register) => sum + 2 ** -register, 0);
  const empty = registers.filter((register) => register === 0).length;
  return BigInt(Math.round(estimate <= 2.5 * 4096 && empty > 0 ? 4096 * Math.log(4096 / empty) : estimate));
}

/** The value at the percentile, NaN being the greatest, and from it the value that stands for its bucket of 1 %. */
function percentile(numbers: readonly number[], share: number): number {
  const ordered = [...numbers].sort((a, b) =>
    Number.isNaN(a) ? 1 : Number.isNaN(b) ? -1 : a < b ? -1 : a > b ? 1 : 0,
  );
  const value = ordered.find((_, index) => index + 1 >= share * ordered.length) ?? 0;
  if (!Number.isFinite(value)) return value;
  if (Math.abs(value) < 2.25e-308) return 0;
  const gamma = 1.01 / 0.99;
  const bucket = Math.ceil(Math.log(Math.abs(value)) / Math.log(gamma));
  return Math.sign(value) * 1.01 * gamma ** (bucket - 1);
}
