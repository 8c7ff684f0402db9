import type { FeatureStatus, ValueType } from "@millrace/contracts/millrace/feature/v1/column";
import type { CompiledView, Scalar } from "../compiled.ts";
import { ServedColumn } from "./served-column.ts";
import type { SourceEvent } from "./source-event.ts";

/** The values of one view for one entity at one time. */
export interface ServedRow {
  readonly statuses: readonly FeatureStatus[];
  readonly values: readonly Scalar[];
  /** Event time of the newest row behind each value, in microseconds; 0 where there is none. */
  readonly eventTimesUs: readonly number[];
}

/** By feature of a view; undefined where a feature is not asked for. */
export type ServedColumns = readonly (ServedColumn | undefined)[];

/** Worst and typical size of a view's row. */
export interface RowSize {
  readonly typicalBytes: number;
  readonly worstBytes: number;
}

/** What the stream path does with one view: fold events into the bytes of a row, and serve values from them. */
export interface ViewStream {
  readonly view: CompiledView;
  /** In the order of the view. */
  readonly features: readonly { readonly name: string; readonly type: ValueType }[];
  /**
   * Takes events of one entity that count in the view (`countsIn`) into its row; each counts once, however often it comes. All events of a partition must
   * come in the order of their offsets. Answers the new bytes, or undefined where nothing changes.
   * @param knownUpToUs a time up to which the row's history is known to be complete: it answers for no time before.
   */
  fold(row: Uint8Array | undefined, events: readonly SourceEvent[], knownUpToUs?: number): Uint8Array | undefined;
  /**
   * Puts the values at a time, from the bytes of the row, into a row of an answer's columns.
   * @param atUs undefined: now, and never before what the row knows.
   * @param columns by feature of the view; undefined where a feature is not asked for.
   * @throws TimeInThePastError
   */
  serveInto(
    columns: ServedColumns,
    into: number,
    row: Uint8Array | undefined,
    atUs: number | undefined,
    options: ServeOptions,
  ): void;
  /** The values of all features at a time, from the bytes of the row: what serveInto puts into columns. */
  serve(row: Uint8Array | undefined, atUs: number | undefined, options: ServeOptions): ServedRow;
  size(): RowSize;
}

export interface ServeOptions {
  /** The present, in microseconds. */
  readonly nowUs: number;
  /** Gives values that are OUTSIDE_MAX_AGE, with that status. */
  readonly withExpiredValues: boolean;
}

/** One row of all features of a view. @throws TimeInThePastError */
export function serveRow(
  stream: Pick<ViewStream, "features" | "serveInto">,
  row: Uint8Array | undefined,
  atUs: number | undefined,
  options: ServeOptions,
): ServedRow {
  const columns = stream.features.map(({ type }) => new ServedColumn(type, 1));
  stream.serveInto(columns, 0, row, atUs, options);
  return {
    statuses: columns.map((column) => column.status(0)),
    values: columns.map((column) => column.value(0)),
    eventTimesUs: columns.map((column) => column.eventTimeUs(0)),
  };
}
