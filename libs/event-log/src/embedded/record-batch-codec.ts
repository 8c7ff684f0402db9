import type { LogRecord, NewRecord } from "../event-log.ts";

/*
 * A batch is what one append, or several that came together, left in one partition. All numbers are little-endian.
 *
 *   0  u8   format, 1
 *   1  u8   0, three times
 *   4  u32  number of records
 *   8  f64  greatest timestamp of this batch and of all before it, in ms since 1970: what a search by time goes by
 *  16       records, one after the other:
 *             f64 timestamp   i32 key bytes (-1: no key)   i32 value bytes (-1: null)   u16 number of headers
 *             key   value   headers: u16 name bytes, u32 value bytes, name, value
 */

const format = 1;
const batchHeaderBytes = 16;
const recordHeaderBytes = 18;

/** A record that waits to be written: its headers are encoded, its size known. */
export interface EncodedRecord {
  readonly record: NewRecord;
  readonly timestampMs: number;
  readonly headers: Buffer | undefined;
  readonly headerCount: number;
  readonly bytes: number;
}

export const encodeRecord = (record: NewRecord, nowMs: number): EncodedRecord => {
  const entries = record.headers === undefined ? [] : Object.entries(record.headers);
  let headers: Buffer | undefined;
  if (entries.length > 0) {
    let size = 0;
    for (const [name, value] of entries) size += 6 + Buffer.byteLength(name) + Buffer.byteLength(value);
    headers = Buffer.allocUnsafe(size);
    let at = 0;
    for (const [name, value] of entries) {
      const nameBytes = headers.write(name, at + 6);
      const valueBytes = headers.write(value, at + 6 + nameBytes);
      headers.writeUInt16LE(nameBytes, at);
      headers.writeUInt32LE(valueBytes, at + 2);
      at += 6 + nameBytes + valueBytes;
    }
  }
  return {
    record,
    timestampMs: record.timestampMs ?? nowMs,
    headers,
    headerCount: entries.length,
    bytes: recordHeaderBytes + (record.key?.length ?? 0) + (record.value?.length ?? 0) + (headers?.length ?? 0),
  };
};

export const encodeBatch = (records: readonly EncodedRecord[]): Buffer => {
  let size = batchHeaderBytes;
  for (const { bytes } of records) size += bytes;
  const batch = Buffer.allocUnsafe(size);
  batch.writeUInt32LE(format, 0);
  batch.writeUInt32LE(records.length, 4);
  let at = batchHeaderBytes;
  for (const { record, timestampMs, headers, headerCount } of records) {
    batch.writeDoubleLE(timestampMs, at);
    batch.writeInt32LE(record.key?.length ?? -1, at + 8);
    batch.writeInt32LE(record.value?.length ?? -1, at + 12);
    batch.writeUInt16LE(headerCount, at + 16);
    at += recordHeaderBytes;
    for (const part of [record.key, record.value, headers]) {
      if (part === undefined || part === null) continue;
      batch.set(part, at);
      at += part.length;
    }
  }
  return batch;
};

/** Completes a batch with the greatest timestamp so far, which is known only when its place is. */
export const setGreatestTimestamp = (batch: Buffer, timestampMs: number): void => {
  batch.writeDoubleLE(timestampMs, 8);
};

export const greatestTimestamp = (batch: Buffer): number => batch.readDoubleLE(8);

export const recordCount = (batch: Buffer): number => batch.readUInt32LE(4);

/**
 * The batch's records with an offset of at least `from`, at most `limit` of them. Keys and values are views of the batch.
 */
export const decodeBatch = (
  batch: Buffer,
  partition: number,
  baseOffset: bigint,
  from: bigint,
  limit: number,
): LogRecord[] => {
  const count = recordCount(batch);
  const skip = from > baseOffset ? Number(from - baseOffset) : 0;
  const records: LogRecord[] = [];
  let at = batchHeaderBytes;
  for (let i = 0; i < count && records.length < limit; i++) {
    const timestampMs = batch.readDoubleLE(at);
    const keyBytes = batch.readInt32LE(at + 8);
    const valueBytes = batch.readInt32LE(at + 12);
    const headerCount = batch.readUInt16LE(at + 16);
    at += recordHeaderBytes;
    const keyEnd = at + Math.max(keyBytes, 0);
    const valueEnd = keyEnd + Math.max(valueBytes, 0);
    const key = keyBytes < 0 ? undefined : batch.subarray(at, keyEnd);
    const value = valueBytes < 0 ? null : batch.subarray(keyEnd, valueEnd);
    at = valueEnd;
    const headers: Record<string, string> = {};
    for (let h = 0; h < headerCount; h++) {
      const nameEnd = at + 6 + batch.readUInt16LE(at);
      const end = nameEnd + batch.readUInt32LE(at + 2);
      if (i >= skip) headers[batch.toString("utf8", at + 6, nameEnd)] = batch.toString("utf8", nameEnd, end);
      at = end;
    }
    if (i >= skip) records.push({ partition, offset: baseOffset + BigInt(i), key, value, headers, timestampMs });
  }
  return records;
};
