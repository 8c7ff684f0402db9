import type { CompiledView, Scalar } from "@millrace/feature-definition";
import {
  countsIn,
  encodeEntityKey,
  rowKeyOf,
  type SourceEvent,
  type ViewStream,
} from "@millrace/feature-definition/stream";

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

  constructor(stream: ViewStream) {
    const { view } = stream;
    this.stream = stream;
    this.id = `${view.name}@${view.version}`;
    this.#view = view;
    this.#rowKey = rowKeyOf(view);
    this.#keyColumns = view.keyColumns.map((column) => view.source.fields.findIndex(({ name }) => name === column));
  }

  /** Whether all columns of the entity's key have a value. */
  hasKey(event: SourceEvent): boolean {
    return this.#keyColumns.every((column) => (event.row[column] ?? null) !== null);
  }

  /** Puts the event to its row, unless it does not count in the view. */
  route(event: SourceEvent, rows: Map<string, RowEvents>): void {
    if (!countsIn(this.#view, event.row)) return;
    const values = this.#keyColumns.map((column): Scalar => event.row[column] ?? null);
    const entityKey = encodeEntityKey(this.#view.entity, values);
    if (entityKey === undefined) return;
    const key = this.#rowKey(entityKey);
    const name = Buffer.from(key).toString("latin1");
    const row = rows.get(name);
    if (row === undefined) rows.set(name, { key, stream: this.stream, events: [event] });
    else row.events.push(event);
  }
}
