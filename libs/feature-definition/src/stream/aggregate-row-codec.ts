import { type AggregateRow, emptyAggregateRow } from "./aggregate-row.ts";
import { AppliedPositions } from "./applied-positions.ts";
import { ByteReader, RowCorruptError } from "./byte-reader.ts";
import { ByteWriter } from "./byte-writer.ts";
import { type Partial, readPartial } from "./partial.ts";
import type { TilePlan } from "./tile-plan.ts";

/** The first byte of an aggregate row, version 1. */
export const aggregateRowFormat = 0x11;

/** Used by one call at a time, from its beginning to its end. */
const rowWriter = new ByteWriter(4096);

/** The bytes of a row. Their layout is drawn in `services/feature-serving/docs/online-rows.md`. */
export function encodeAggregateRow(plan: TilePlan, row: AggregateRow): Uint8Array {
  const writer = rowWriter.reset();
  writer.u8(aggregateRowFormat);
  row.applied.write(writer);
  writeTime(writer, row.settledUs);
  writeTime(writer, row.newestMergedUs);
  writer.varint(row.tiles.length);
  const baseUs = plan.levels[0]?.sizeUs ?? 1;
  let steps = 0;
  for (const tile of row.tiles) {
    writer.varint(tile.level);
    writer.zigzag(tile.startUs / baseUs - steps);
    steps = tile.startUs / baseUs;
    writePartials(writer, tile.partials);
  }
  writer.varint(row.instants.length);
  for (const instant of row.instants) {
    writer.varint(instant.timeUs - row.settledUs);
    writePartials(writer, instant.partials);
  }
  return writer.finish();
}

/** @throws RowCorruptError */
export function decodeAggregateRow(plan: TilePlan, bytes: Uint8Array): AggregateRow {
  const reader = new ByteReader(bytes);
  const format = reader.u8();
  if (format !== aggregateRowFormat) throw new RowCorruptError(`format ${format} where ${aggregateRowFormat} belongs`);
  const row = emptyAggregateRow();
  row.applied = AppliedPositions.read(reader);
  row.settledUs = readTime(reader);
  row.newestMergedUs = readTime(reader);
  const baseUs = plan.levels[0]?.sizeUs ?? 1;
  let steps = 0;
  for (let count = reader.varint(); count > 0; count--) {
    const level = reader.varint();
    steps += reader.zigzag();
    row.tiles.push({ level, startUs: steps * baseUs, partials: readPartials(plan, reader) });
  }
  for (let count = reader.varint(); count > 0; count--) {
    row.instants.push({ timeUs: row.settledUs + reader.varint(), partials: readPartials(plan, reader) });
  }
  if (!reader.done) throw new RowCorruptError("bytes are left over");
  return row;
}

/** One byte says whether there is a time; −∞ is none. */
function writeTime(writer: ByteWriter, timeUs: number): void {
  writer.u8(timeUs === Number.NEGATIVE_INFINITY ? 0 : 1);
  if (timeUs !== Number.NEGATIVE_INFINITY) writer.zigzag(timeUs);
}

function readTime(reader: ByteReader): number {
  return reader.u8() === 0 ? Number.NEGATIVE_INFINITY : reader.zigzag();
}

function writePartials(writer: ByteWriter, partials: readonly (Partial | undefined)[]): void {
  for (let first = 0; first < partials.length; first += 8) {
    let bits = 0;
    for (let bit = 0; bit < 8; bit++) if (partials[first + bit] !== undefined) bits |= 1 << bit;
    writer.u8(bits);
  }
  for (const partial of partials) partial?.write(writer);
}

function readPartials(plan: TilePlan, reader: ByteReader): (Partial | undefined)[] {
  const bitmap = reader.raw(Math.ceil(plan.slots.length / 8));
  return plan.slots.map((slot, index) => {
    const present = ((bitmap[index >> 3] ?? 0) >> (index & 7)) & 1;
    return present === 1 ? readPartial(reader, slot) : undefined;
  });
}
