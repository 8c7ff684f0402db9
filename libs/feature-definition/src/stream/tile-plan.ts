import { ValueType } from "@millrace/contracts/millrace/feature/v1/column";
import type { AggregateView, CompiledAggregate, CompiledExpression } from "../compiled.ts";
import { type PartialSpec, partialKind } from "./partial.ts";
import { fixedLength, headBytes, type PlannedBytes, partialBytes } from "./planned-bytes.ts";

/** One kind of partial over one expression, shared by all aggregates that can be read from it. */
export interface TileSlot extends PartialSpec {
  /** Undefined: every event counts, whatever its values. */
  readonly of: CompiledExpression | undefined;
  readonly windows: readonly Window[];
}

export interface Window {
  readonly windowUs: number;
  readonly hopUs: number;
}

/** One aggregate of the view: which slot it reads, over which window. */
export interface PlannedAggregate extends Window {
  readonly aggregate: CompiledAggregate;
  readonly slot: number;
}

/** How finely tiles are cut at one age. */
export interface TileLevel {
  readonly sizeUs: number;
  /** The windows that may cut a tile of this level: those with this hop or a finer one. */
  readonly windows: readonly Window[];
}

/** How the tiles of an aggregate view are laid out: slots, and levels from the finest to the coarsest. */
export interface TilePlan {
  readonly slots: readonly TileSlot[];
  readonly aggregates: readonly PlannedAggregate[];
  readonly levels: readonly TileLevel[];
}

/**
 * Plans the tiles of a view. The levels are made so that each level's tiles divide the next one's: level i is the
 * greatest common divisor of the i-th hop and all coarser ones. With hops of 5 min, 1 h and 1 d these are the hops.
 */
export function planTiles(view: AggregateView): TilePlan {
  const slots = new Map<string, { slot: Omit<TileSlot, "windows">; windows: Window[]; index: number }>();
  const aggregates = view.aggregates.map((aggregate): PlannedAggregate => {
    const inputType = aggregate.of?.type ?? ValueType.INT64;
    const kind = partialKind(aggregate.function, inputType);
    const window = { windowUs: Number(aggregate.windowUs), hopUs: Number(aggregate.hopUs) };
    const n = aggregate.n ?? 0;
    const id = `${kind} ${inputType} ${n} ${aggregate.of?.text ?? ""}`;
    const { of } = aggregate;
    const length = of === undefined ? undefined : fixedLength(of, view.source.fields);
    const entry = slots.get(id) ?? { slot: { kind, inputType, n, length, of }, windows: [], index: slots.size };
    slots.set(id, entry);
    entry.windows.push(window);
    return { aggregate, slot: entry.index, ...window };
  });
  const hops = [...new Set(aggregates.map((aggregate) => aggregate.hopUs))].sort((a, b) => a - b);
  const levels = hops.map((hop, index): TileLevel => {
    return {
      sizeUs: hops.slice(index).reduce(greatestCommonDivisor),
      windows: aggregates.filter((aggregate) => aggregate.hopUs <= hop),
    };
  });
  return { slots: [...slots.values()].map(({ slot, windows }) => ({ ...slot, windows })), aggregates, levels };
}

/**
 * The bytes of a row: typically with events in a third of its tiles, at worst in each of them.
 * @param mostInstants how many events of the near future may be kept apart from the tiles.
 */
export function rowBytes({ levels, slots }: TilePlan, mostInstants: number): PlannedBytes {
  let { typical, worst } = headBytes;
  const bitmap = Math.ceil(slots.length / 8);
  const tileBytes = (held: readonly TileSlot[]): PlannedBytes => {
    const sizes = held.map(partialBytes);
    return {
      typical: 3 + bitmap + sizes.reduce((sum, size) => sum + size.typical, 0),
      worst: 9 + bitmap + sizes.reduce((sum, size) => sum + size.worst, 0),
    };
  };
  let olderUs = 0;
  levels.forEach(({ sizeUs, windows }, index) => {
    const reachUs = Math.max(...windows.map(reachOf));
    // A tile waits here until all of the coarser one that it goes into is out of reach.
    const waitUs = levels[index + 1]?.sizeUs ?? 0;
    const held = slots.filter((slot) => Math.max(...slot.windows.map(reachOf)) > olderUs);
    const tile = tileBytes(held);
    typical += Math.ceil(Math.max(0, reachUs - olderUs) / sizeUs / 3) * tile.typical;
    worst += (Math.ceil((Math.max(0, reachUs - olderUs) + waitUs) / sizeUs) + 1) * tile.worst;
    olderUs = Math.max(olderUs, reachUs);
  });
  const instant = tileBytes(slots);
  return { typical: typical + instant.typical, worst: worst + mostInstants * instant.worst };
}

/** How far back a window may see. */
function reachOf({ windowUs, hopUs }: Window): number {
  return windowUs + hopUs;
}

/** The largest multiple of `step` that is not above `timeUs`: floor towards −∞, exact for whole numbers below 2^53. */
export function floorTo(timeUs: number, step: number): number {
  return Math.floor(timeUs / step) * step;
}

/** The earliest time that any of the windows can still see, asked at `settledUs` or later. */
export function tailOf(windows: readonly Window[], settledUs: number): number {
  let tail = Number.POSITIVE_INFINITY;
  for (const { windowUs, hopUs } of windows) tail = Math.min(tail, floorTo(settledUs - windowUs, hopUs));
  return tail;
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}
