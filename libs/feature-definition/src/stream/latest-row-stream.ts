import { FeatureStatus, type ValueType } from "@millrace/contracts/millrace/feature/v1/column";
import type { LatestRowView, Scalar } from "../compiled.ts";
import { AppliedPositions } from "./applied-positions.ts";
import { ByteReader, RowCorruptError } from "./byte-reader.ts";
import { ByteWriter } from "./byte-writer.ts";
import { isDeletion, valueOrNull } from "./event-filter.ts";
import { fixedLength, headBytes, orderBytes, valueBytes } from "./planned-bytes.ts";
import { readScalar, skipScalar, writeScalar } from "./scalar-codec.ts";
import { compareOrder, type EventOrder, type SourceEvent } from "./source-event.ts";
import { TimeInThePastError } from "./time-in-the-past-error.ts";
import {
  type RowSize,
  type ServedColumns,
  type ServedRow,
  type ServeOptions,
  serveRow,
  type ViewStream,
} from "./view-stream.ts";

/** The first byte of a latest-row row, version 1. */
export const latestRowFormat = 0x21;

/** The first byte where the source has deletions: a byte more a candidate, 1 for a deletion, which has no values. */
export const latestRowFormatWithDeletions = 0x22;

/** More rows from the future than this are not kept: the row then settles at a later time. */
const mostCandidates = 64;

/** These are used by one call at a time, from its beginning to its end. */
const rowWriter = new ByteWriter(4096);
const rowReader = new ByteReader();

interface Candidate extends EventOrder {
  readonly isDeletion: boolean;
  /** None of a deletion. */
  readonly values: readonly Scalar[];
}

interface LatestRow {
  applied: AppliedPositions;
  /** The latest time that the row knows of: the greatest min(event time, creation time) of its events. */
  settledUs: number;
  /**
   * By event time, one an event time: first the newest row at `settledUs` or before, then those after it, which t may
   * not have reached yet.
   */
  candidates: Candidate[];
}

/** The newest row of an entity. */
export class LatestRowStream implements ViewStream {
  readonly view: LatestRowView;
  readonly features: readonly { readonly name: string; readonly type: ValueType }[];
  readonly #hasDeletions: boolean;
  readonly #format: number;

  constructor(view: LatestRowView) {
    this.view = view;
    this.#hasDeletions = view.source.deleted !== undefined;
    this.#format = this.#hasDeletions ? latestRowFormatWithDeletions : latestRowFormat;
    this.features = view.features.map(({ name, type }) => ({ name, type }));
  }

  fold(
    bytes: Uint8Array | undefined,
    events: readonly SourceEvent[],
    knownUpToUs = Number.NEGATIVE_INFINITY,
  ): Uint8Array | undefined {
    const row = this.#decode(bytes);
    let isChanged = false;
    for (const event of events) {
      if (row.applied.has(event)) continue;
      row.applied.add(event);
      isChanged = true;
      row.settledUs = Math.max(row.settledUs, Math.min(event.eventTimeUs, event.createdAtUs));
      this.#insert(row, event);
    }
    if (!isChanged) return undefined;
    row.settledUs = Math.max(row.settledUs, knownUpToUs);
    this.#dropSettled(row);
    const surplus = row.candidates[row.candidates.length - mostCandidates];
    if (surplus !== undefined && row.candidates.length > mostCandidates) {
      row.settledUs = Math.max(row.settledUs, surplus.eventTimeUs);
      this.#dropSettled(row);
    }
    return this.#encode(row);
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
    if (bytes === undefined) return;
    const reader = readerOf(bytes, this.#format);
    AppliedPositions.skip(reader);
    const settledUs = reader.zigzag();
    const t = atUs ?? Math.max(options.nowUs, settledUs);
    if (t < settledUs) throw new TimeInThePastError(this.view.name, t, settledUs);
    let newestUs: number | undefined;
    // They come by event time: of those up to t, the last one stays.
    for (let count = reader.varint(); count > 0; count--) {
      const eventTimeUs = settledUs + reader.zigzag();
      if (eventTimeUs > t) break;
      newestUs = eventTimeUs;
      reader.zigzag();
      reader.varint();
      reader.varint();
      if (this.#hasDeletions && reader.u8() === 1) {
        newestUs = undefined;
        for (const column of columns) column?.clear(into);
      } else {
        this.#readValues(reader, columns, into, eventTimeUs);
      }
    }
    const { ttlUs } = this.view;
    if (newestUs === undefined || ttlUs === undefined || t - newestUs <= Number(ttlUs)) return;
    for (const column of columns) {
      if (column === undefined) continue;
      column.setStatus(into, FeatureStatus.OUTSIDE_MAX_AGE);
      if (!options.withExpiredValues) column.setValue(into, null);
    }
  }

  size(): RowSize {
    const values = this.view.features.map(({ type, expression }) =>
      valueBytes(type, fixedLength(expression, this.view.source.fields)),
    );
    const bitmap = Math.ceil(values.length / 8) + (this.#hasDeletions ? 1 : 0);
    const typical = orderBytes.typical + bitmap + values.reduce((sum, value) => sum + value.typical, 0);
    const worst = orderBytes.worst + bitmap + values.reduce((sum, value) => sum + value.worst, 0);
    return { typicalBytes: headBytes.typical + typical, worstBytes: headBytes.worst + (mostCandidates + 1) * worst };
  }

  /** Reads the values of a candidate into those columns that there are. */
  #readValues(reader: ByteReader, columns: ServedColumns, into: number, eventTimeUs: number): void {
    const bitmap = reader.bitmap(this.features.length);
    for (let index = 0; index < this.features.length; index++) {
      const isPresent = reader.bit(bitmap, index);
      const column = columns[index];
      if (column === undefined) {
        if (isPresent) skipScalar(reader, this.features[index]?.type ?? 0);
        continue;
      }
      column.setEventTimeUs(into, eventTimeUs);
      column.setStatus(into, isPresent ? FeatureStatus.PRESENT : FeatureStatus.NULL_VALUE);
      if (isPresent) column.readValue(into, reader);
      else column.setValue(into, null);
    }
  }

  /** Drops the rows that a newer one at `settledUs` or before has replaced. */
  #dropSettled(row: LatestRow): void {
    let settled = 0;
    while ((row.candidates[settled + 1]?.eventTimeUs ?? Number.POSITIVE_INFINITY) <= row.settledUs) settled++;
    row.candidates.splice(0, settled);
  }

  /** Puts the event in its place, unless another of the same event time stands after it. */
  #insert(row: LatestRow, event: SourceEvent): void {
    const first = row.candidates[0];
    if (first !== undefined && event.eventTimeUs < first.eventTimeUs) {
      if (event.eventTimeUs <= row.settledUs && first.eventTimeUs <= row.settledUs) return;
    }
    let index = row.candidates.length;
    while (index > 0 && (row.candidates[index - 1]?.eventTimeUs ?? 0) >= event.eventTimeUs) index--;
    const held = row.candidates[index];
    const isTie = held !== undefined && held.eventTimeUs === event.eventTimeUs;
    if (isTie && compareOrder(held, event) >= 0) return;
    const { eventTimeUs, createdAtUs, partition, offset } = event;
    const isDeleted = isDeletion(this.view.source, event.row);
    const values = isDeleted ? [] : this.view.features.map(({ expression }) => valueOrNull(expression, event.row));
    const candidate = { eventTimeUs, createdAtUs, partition, offset, isDeletion: isDeleted, values };
    row.candidates.splice(index, isTie ? 1 : 0, candidate);
  }

  #encode(row: LatestRow): Uint8Array {
    const writer = rowWriter.reset();
    writer.u8(this.#format);
    row.applied.write(writer);
    writer.zigzag(row.settledUs);
    writer.varint(row.candidates.length);
    for (const candidate of row.candidates) {
      writer.zigzag(candidate.eventTimeUs - row.settledUs);
      writer.zigzag(candidate.createdAtUs - candidate.eventTimeUs);
      writer.varint(candidate.partition + 1);
      writer.varint(candidate.offset);
      if (this.#hasDeletions) writer.u8(candidate.isDeletion ? 1 : 0);
      if (candidate.isDeletion) continue;
      for (let first = 0; first < this.features.length; first += 8) {
        let bits = 0;
        for (let bit = 0; bit < 8; bit++) if ((candidate.values[first + bit] ?? null) !== null) bits |= 1 << bit;
        writer.u8(bits);
      }
      for (let index = 0; index < this.features.length; index++) {
        const value = candidate.values[index] ?? null;
        const type = this.features[index]?.type;
        if (value !== null && type !== undefined) writeScalar(writer, type, value);
      }
    }
    return writer.finish();
  }

  #decode(bytes: Uint8Array | undefined): LatestRow {
    if (bytes === undefined) {
      return { applied: new AppliedPositions(), settledUs: Number.NEGATIVE_INFINITY, candidates: [] };
    }
    const reader = readerOf(bytes, this.#format);
    const applied = AppliedPositions.read(reader);
    const settledUs = reader.zigzag();
    const candidates: Candidate[] = [];
    for (let count = reader.varint(); count > 0; count--) {
      const eventTimeUs = settledUs + reader.zigzag();
      const createdAtUs = eventTimeUs + reader.zigzag();
      const partition = reader.varint() - 1;
      const offset = reader.varint();
      if (this.#hasDeletions && reader.u8() === 1) {
        candidates.push({ eventTimeUs, createdAtUs, partition, offset, isDeletion: true, values: [] });
        continue;
      }
      const bitmap = reader.bitmap(this.features.length);
      const values = this.features.map(({ type }, index) =>
        reader.bit(bitmap, index) ? readScalar(reader, type) : null,
      );
      candidates.push({ eventTimeUs, createdAtUs, partition, offset, isDeletion: false, values });
    }
    if (!reader.done) throw new RowCorruptError("bytes are left over");
    return { applied, settledUs, candidates };
  }
}

/** A reader that stands after the format. @throws RowCorruptError */
function readerOf(bytes: Uint8Array, expected: number): ByteReader {
  const reader = rowReader.reset(bytes);
  const format = reader.u8();
  if (format !== expected) throw new RowCorruptError(`format ${format} where ${expected} belongs`);
  return reader;
}
