import type { Row } from "../compiled.ts";

/** Where an event stands in its source: ties of equal event time and equal creation time are settled by it. */
export interface EventOrder {
  /** Microseconds since 1970, a whole number within ±2^52. */
  readonly eventTimeUs: number;
  /** When it became known, likewise. */
  readonly createdAtUs: number;
  /** The partition of the topic; −1 for rows of batch data, which stand before the stream. */
  readonly partition: number;
  /** The offset in the partition, or the ordinal of the row in the batch data. */
  readonly offset: number;
}

/** One fact, as the stream path folds it. */
export interface SourceEvent extends EventOrder {
  /** The source's columns, fields and derived ones, in their order. */
  readonly row: Row;
  /** 48 bits that name the life of the topic (its epoch) or the run of a materialization: see `originOf`. */
  readonly origin: number;
}

/** Negative where `a` stands before `b`: by event time, then by creation time, then by source order. */
export function compareOrder(a: EventOrder, b: EventOrder): number {
  return (
    a.eventTimeUs - b.eventTimeUs || a.createdAtUs - b.createdAtUs || a.partition - b.partition || a.offset - b.offset
  );
}
