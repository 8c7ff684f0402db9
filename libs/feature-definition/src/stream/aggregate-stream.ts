import { FeatureStatus, ValueType } from "@millrace/contracts/millrace/feature/v1/column";
import { AggregateFunction } from "@millrace/contracts/millrace/feature/v1/feature_repository";
import type { AggregateView, Scalar } from "../compiled.ts";
import { AggregateOverflowError } from "./aggregate-overflow-error.ts";
import {
  type AggregateRow,
  emptyAggregateRow,
  foldAggregates,
  mostInstants,
  type SlotValues,
} from "./aggregate-row.ts";
import { decodeAggregateRow, encodeAggregateRow } from "./aggregate-row-codec.ts";
import { valueOrNull } from "./event-filter.ts";
import { createPartial, type Partial } from "./partial.ts";
import type { SourceEvent } from "./source-event.ts";
import { floorTo, type PlannedAggregate, planTiles, rowBytes, type TilePlan } from "./tile-plan.ts";
import { TimeInThePastError } from "./time-in-the-past-error.ts";
import {
  type RowSize,
  type ServedColumns,
  type ServedRow,
  type ServeOptions,
  serveRow,
  type ViewStream,
} from "./view-stream.ts";

const int64Max = 2n ** 63n - 1n;
const int64Min = -(2n ** 63n);

/** Windowed aggregates on sparse tiles: see AggregateRow. */
export class AggregateStream implements ViewStream {
  readonly view: AggregateView;
  readonly features: readonly { readonly name: string; readonly type: ValueType }[];
  readonly #plan: TilePlan;

  constructor(view: AggregateView) {
    this.view = view;
    this.features = view.aggregates.map(({ name, type }) => ({ name, type }));
    this.#plan = planTiles(view);
  }

  fold(bytes: Uint8Array | undefined, events: readonly SourceEvent[], knownUpToUs?: number): Uint8Array | undefined {
    const row = bytes === undefined ? emptyAggregateRow() : decodeAggregateRow(this.#plan, bytes);
    const values = events.map((event): SlotValues => ({ event, values: this.#slotValues(event) }));
    return foldAggregates(this.#plan, row, values, knownUpToUs) ? encodeAggregateRow(this.#plan, row) : undefined;
  }

  serve(bytes: Uint8Array | undefined, atUs: number | undefined, options: ServeOptions): ServedRow {
    return serveRow(this, bytes, atUs, options);
  }

  serveInto(
    columns: ServedColumns,
    into: number,
    bytes: Uint8Array | undefined,
    atUs: number | undefined,
    options: ServeOptions,
  ): void {
    const row = bytes === undefined ? emptyAggregateRow() : decodeAggregateRow(this.#plan, bytes);
    const t = atUs ?? Math.max(options.nowUs, row.settledUs);
    if (t < row.settledUs) throw new TimeInThePastError(this.view.name, t, row.settledUs);
    let newestUs = row.newestMergedUs;
    for (const { timeUs } of row.instants) if (timeUs < t) newestUs = timeUs;
    const isFound = this.#plan.aggregates.some(({ windowUs, hopUs }) => newestUs >= floorTo(t - windowUs, hopUs));
    this.#plan.aggregates.forEach((planned, index) => {
      const column = columns[index];
      if (column === undefined) return;
      const fromUs = floorTo(t - planned.windowUs, planned.hopUs);
      const value = this.#aggregate(row, planned, fromUs, t);
      column.setValue(into, value);
      column.setEventTimeUs(into, newestUs >= fromUs ? newestUs : 0);
      if (isFound) column.setStatus(into, value === null ? FeatureStatus.NULL_VALUE : FeatureStatus.PRESENT);
    });
  }

  size(): RowSize {
    const { typical, worst } = rowBytes(this.#plan, mostInstants);
    return { typicalBytes: typical, worstBytes: worst };
  }

  #slotValues(event: SourceEvent): Scalar[] {
    return this.#plan.slots.map(({ of }) => (of === undefined ? true : valueOrNull(of, event.row)));
  }

  #aggregate(row: AggregateRow, planned: PlannedAggregate, fromUs: number, toUs: number): Scalar {
    const slot = this.#plan.slots[planned.slot];
    if (slot === undefined) return null;
    let total: Partial | undefined;
    const add = (partial: Partial | undefined) => {
      if (partial === undefined) return;
      total ??= createPartial(slot);
      total.merge(partial);
    };
    for (const tile of row.tiles) if (tile.startUs >= fromUs) add(tile.partials[planned.slot]);
    for (const { timeUs, partials } of row.instants) {
      if (timeUs >= fromUs && timeUs < toUs) add(partials[planned.slot]);
    }
    const { aggregate } = planned;
    if (total === undefined) return aggregate.function === AggregateFunction.COUNT ? 0n : null;
    const value = total.result(aggregate.function, aggregate.percentile ?? 0);
    if (typeof value === "bigint" && (value > int64Max || value < int64Min)) {
      throw new AggregateOverflowError(this.view.name, aggregate.name);
    }
    return aggregate.type === ValueType.FLOAT && typeof value === "number" ? Math.fround(value) : value;
  }
}
