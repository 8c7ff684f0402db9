import type { CompiledView, Scalar } from "@millrace/feature-definition";
import {
  countsIn,
  encodeEntityKey,
  rowKeyOf,
  type SourceEvent,
  type ViewStream,
} from "@millrace/feature-definition/stream";
import type { Tombstones } from "../erasure/tombstones.ts";

/** The events of one row, in the order of their source. */
export interface RowEvents {
  readonly key: Uint8Array;
  readonly stream: ViewStream;
  readonly events: SourceEvent[];
}

/** Sorts events of a source to the rows of one view. */
export class ViewRouter {
  readonly stream: ViewStream;
  /** `view@version`. */
  readonly id: string;
  readonly #view: CompiledView;
  readonly #rowKey: (entityKey: Uint8Array) => Uint8Array;
  readonly #keyColumns: readonly number[];
  readonly #tombstones: Tombstones;

  constructor(stream: ViewStream, tombstones: Tombstones) {
    const { view } = stream;
    this.#tombstones = tombstones;
    this.stream = stream;
    this.id = `${view.name}@${view.version}`;
    this.#view = view;
    this.#rowKey = rowKeyOf(view);
    this.#keyColumns = view.keyColumns.map((column) => view.source.columns.findIndex(({ name }) => name === column));
  }

  /** Whether all columns of the entity's key have a value. */
  hasKey(event: SourceEvent): boolean {
    return this.#keyColumns.every((column) => (event.row[column] ?? null) !== null);
  }

  /** Puts the event to its row, unless it does not count in the view, or its entity was erased since it became known. */
  route(event: SourceEvent, rows: RowsByKey): void {
    if (!countsIn(this.#view, event.row)) return;
    const values = this.#keyColumns.map((column): Scalar => event.row[column] ?? null);
    const entityKey = encodeEntityKey(this.#view.entity, values);
    if (entityKey === undefined) return;
    if (this.#tombstones.hides(this.#view.entity.name, entityKey, event.createdAtUs)) return;
    const name = Buffer.from(entityKey.buffer, entityKey.byteOffset, entityKey.byteLength).toString("latin1");
    let ofView = rows.get(this);
    if (ofView === undefined) {
      ofView = new Map();
      rows.set(this, ofView);
    }
    const row = ofView.get(name);
    if (row === undefined) ofView.set(name, { key: this.#rowKey(entityKey), stream: this.stream, events: [event] });
    else row.events.push(event);
  }
}

/** The rows that a batch touches: by view, then by the bytes of the entity's key. */
export type RowsByKey = Map<ViewRouter, Map<string, RowEvents>>;

/** All rows of a batch. */
export function allRows(rows: RowsByKey): RowEvents[] {
  return [...rows.values()].flatMap((ofView) => [...ofView.values()]);
}
