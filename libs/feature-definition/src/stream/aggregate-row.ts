import type { Scalar } from "../compiled.ts";
import { AppliedPositions } from "./applied-positions.ts";
import { createPartial, type Partial } from "./partial.ts";
import type { EventOrder, SourceEvent } from "./source-event.ts";
import { floorTo, type TilePlan, tailOf } from "./tile-plan.ts";

/**
 * The online row of one entity in a view of windowed aggregates.
 *
 *      tail ── 1 d tiles ── 1 h tiles ── 5 min tiles ──┤ settled ├── instants ──▶ event time
 *
 * `settledUs` is the latest time that the row knows of: the greatest min(event time, creation time) of its events. The
 * row answers for every t from `settledUs` on, and for none before. Events before `settledUs` are merged into tiles:
 * t is later than all of them, so the head of a window is exact. Events at `settledUs` or later (the newest ones, whose
 * time t may equal, and events from the near future) are kept apart, a partial for each instant, so that those at t and
 * after it can be left out.
 *
 * A tile must never be cut by the tail of a window. Windows with a fine hop are short, so old tiles are merged into
 * coarser ones as soon as no window of a finer hop can reach into them from any t that may still be asked. The row is
 * therefore a function of the set of its events: their order of arrival makes no difference.
 */
export interface AggregateRow {
  applied: AppliedPositions;
  settledUs: number;
  /** Event time of the newest event in the tiles. */
  newestMergedUs: number;
  /** Disjoint, by start. */
  tiles: Tile[];
  /** By time, all at `settledUs` or later. */
  instants: Instant[];
}

export interface Tile {
  level: number;
  startUs: number;
  /** By slot of the plan; undefined where nothing was taken. */
  partials: (Partial | undefined)[];
}

export interface Instant {
  readonly timeUs: number;
  readonly partials: (Partial | undefined)[];
}

/** An event that counts in a view, with the value of each slot. */
export interface SlotValues {
  readonly event: SourceEvent;
  readonly values: readonly Scalar[];
}

/** More instants than this are not kept apart: the row then settles at a later time, and refuses earlier ones. */
export const mostInstants = 64;

export function emptyAggregateRow(): AggregateRow {
  return {
    applied: new AppliedPositions(),
    settledUs: Number.NEGATIVE_INFINITY,
    newestMergedUs: Number.NEGATIVE_INFINITY,
    tiles: [],
    instants: [],
  };
}

/** Takes events into the row, each once however often it comes. Answers whether any was new. */
export function foldAggregates(
  plan: TilePlan,
  row: AggregateRow,
  events: readonly SlotValues[],
  knownUpToUs = Number.NEGATIVE_INFINITY,
): boolean {
  const fresh = events.filter(({ event }) => {
    if (row.applied.has(event)) return false;
    row.applied.add(event);
    return true;
  });
  if (fresh.length === 0) return false;
  let settledUs = Math.max(row.settledUs, knownUpToUs);
  for (const { event } of fresh) settledUs = Math.max(settledUs, Math.min(event.eventTimeUs, event.createdAtUs));
  settle(plan, row, settledUs);
  const tails = tailsAt(plan, settledUs);
  for (const { event, values } of fresh) {
    if (event.eventTimeUs >= settledUs) take(plan, instantAt(plan, row, event.eventTimeUs).partials, values, event);
    else {
      row.newestMergedUs = Math.max(row.newestMergedUs, event.eventTimeUs);
      const tile = tileAt(plan, row, tails, event.eventTimeUs);
      if (tile !== undefined) take(plan, tile.partials, values, event);
    }
  }
  const surplus = row.instants[row.instants.length - mostInstants];
  if (surplus !== undefined && row.instants.length > mostInstants) settle(plan, row, surplus.timeUs);
  return true;
}

/** Moves the row's time forward: instants before it go into tiles, and old tiles are merged or dropped. */
function settle(plan: TilePlan, row: AggregateRow, settledUs: number): void {
  if (settledUs <= row.settledUs) return;
  const tails = tailsAt(plan, settledUs);
  const tailsMoved = tailsAt(plan, row.settledUs).some((tail, level) => tail !== tails[level]);
  row.settledUs = settledUs;
  if (tailsMoved) {
    const tiles = row.tiles;
    row.tiles = [];
    for (const tile of tiles) mergeInto(plan, tileAt(plan, row, tails, tile.startUs)?.partials, tile.partials);
  }
  let moved = 0;
  for (const { timeUs, partials } of row.instants) {
    if (timeUs >= settledUs) break;
    moved++;
    row.newestMergedUs = Math.max(row.newestMergedUs, timeUs);
    mergeInto(plan, tileAt(plan, row, tails, timeUs)?.partials, partials);
  }
  row.instants.splice(0, moved);
  if (!tailsMoved) return;
  for (const tile of row.tiles) dropUnreachable(plan, tile, settledUs);
  row.tiles = row.tiles.filter((tile) => tile.partials.some((partial) => partial !== undefined));
}

/** By level, the earliest time that a window which may cut tiles of the level can still see. */
function tailsAt(plan: TilePlan, settledUs: number): number[] {
  return plan.levels.map(({ windows }) => tailOf(windows, settledUs));
}

/** The tile that a time belongs to, made where it is missing; undefined where no window can reach it any more. */
function tileAt(plan: TilePlan, row: AggregateRow, tails: readonly number[], timeUs: number): Tile | undefined {
  for (let level = 0; level < plan.levels.length; level++) {
    const sizeUs = plan.levels[level]?.sizeUs ?? 1;
    const coarser = plan.levels[level + 1];
    const blockUs = coarser?.sizeUs ?? sizeUs;
    const reached = floorTo(timeUs, blockUs) + blockUs > (tails[level] ?? 0);
    if (reached) return findTile(plan, row, level, floorTo(timeUs, sizeUs));
  }
  return undefined;
}

function findTile(plan: TilePlan, row: AggregateRow, level: number, startUs: number): Tile {
  let low = 0;
  let high = row.tiles.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((row.tiles[middle]?.startUs ?? 0) < startUs) low = middle + 1;
    else high = middle;
  }
  const found = row.tiles[low];
  if (found !== undefined && found.startUs === startUs) return found;
  const tile: Tile = { level, startUs, partials: new Array(plan.slots.length).fill(undefined) };
  row.tiles.splice(low, 0, tile);
  return tile;
}

function instantAt(plan: TilePlan, row: AggregateRow, timeUs: number): Instant {
  let index = row.instants.length;
  while (index > 0 && (row.instants[index - 1]?.timeUs ?? 0) >= timeUs) index--;
  const found = row.instants[index];
  if (found?.timeUs === timeUs) return found;
  const instant: Instant = { timeUs, partials: new Array(plan.slots.length).fill(undefined) };
  row.instants.splice(index, 0, instant);
  return instant;
}

function take(plan: TilePlan, into: (Partial | undefined)[], values: readonly Scalar[], order: EventOrder): void {
  for (let index = 0; index < plan.slots.length; index++) {
    const slot = plan.slots[index];
    const value = values[index];
    if (slot === undefined || value === null || value === undefined) continue;
    let partial = into[index];
    if (partial === undefined) {
      partial = createPartial(slot);
      into[index] = partial;
    }
    partial.add(value, order);
  }
}

/** Merges partials slot by slot; what is merged into nothing is gone. */
export function mergeInto(
  plan: TilePlan,
  into: (Partial | undefined)[] | undefined,
  from: readonly (Partial | undefined)[],
): void {
  if (into === undefined) return;
  for (let index = 0; index < plan.slots.length; index++) {
    const partial = from[index];
    const held = into[index];
    if (partial === undefined) continue;
    if (held === undefined) into[index] = partial;
    else held.merge(partial);
  }
}

/** Drops the partials of slots whose windows are all shorter than the tile is old. */
function dropUnreachable(plan: TilePlan, tile: Tile, settledUs: number): void {
  const endUs = tile.startUs + (plan.levels[tile.level]?.sizeUs ?? 0);
  for (let index = 0; index < plan.slots.length; index++) {
    const slot = plan.slots[index];
    if (slot !== undefined && endUs <= tailOf(slot.windows, settledUs)) tile.partials[index] = undefined;
  }
}
