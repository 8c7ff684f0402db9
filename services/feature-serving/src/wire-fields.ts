/*
 * Messages in protobuf's wire format, as trees of fields whose content is known to be encoded or easy to encode.
 * https://protobuf.dev/programming-guides/encoding/
 */

/** A field that has a length: its tag, and its bytes, its text or the fields in it. */
export interface WireField {
  /** 0 for bytes that are fields already, which are written as they are. */
  readonly tag: number;
  /** Of the content. */
  readonly length: number;
  readonly content: Uint8Array | string | readonly WireField[];
}

export const bytesField = (tag: number, content: Uint8Array): WireField => ({ tag, length: content.length, content });

/** Fields that are encoded already. */
export const encodedFields = (content: Uint8Array): WireField => bytesField(0, content);

export const textField = (tag: number, content: string): WireField => ({
  tag,
  length: Buffer.byteLength(content),
  content,
});

export const messageField = (tag: number, content: readonly WireField[]): WireField => ({
  tag,
  length: lengthOf(content),
  content,
});

/** The bytes of a message of these fields. */
export const encodeFields = (fields: readonly WireField[]): Uint8Array => {
  const bytes = Buffer.allocUnsafe(lengthOf(fields));
  writeFields(bytes, 0, fields);
  return bytes;
};

const lengthOf = (fields: readonly WireField[]): number => {
  let length = 0;
  for (const field of fields) length += field.length + (field.tag === 0 ? 0 : 1 + varintLength(field.length, 0));
  return length;
};

const writeFields = (bytes: Buffer, from: number, fields: readonly WireField[]): void => {
  let at = from;
  for (const { tag, length, content } of fields) {
    if (tag !== 0) {
      bytes[at] = tag;
      at = writeVarint(bytes, at + 1, length, 0);
    }
    if (typeof content === "string") bytes.write(content, at);
    else if (content instanceof Uint8Array) bytes.set(content, at);
    else writeFields(bytes, at, content);
    at += length;
  }
};

/** Bytes of a varint of 64 bits, given as its lower and its upper 32. */
export const varintLength = (low: number, high: number): number => {
  if (high !== 0) return high < 0 ? 10 : Math.floor((63 - Math.clz32(high)) / 7) + 1;
  if (low >= 0 && low < 0x80) return 1;
  return Math.floor((31 - Math.clz32(low)) / 7) + 1;
};

/** Answers where the next byte belongs. */
export const writeVarint = (bytes: Uint8Array, from: number, low: number, high: number): number => {
  let at = from;
  let lower = low;
  let upper = high;
  while (upper !== 0) {
    bytes[at++] = (lower & 0x7f) | 0x80;
    lower = (lower >>> 7) | (upper << 25);
    upper >>>= 7;
  }
  while (lower < 0 || lower > 0x7f) {
    bytes[at++] = (lower & 0x7f) | 0x80;
    lower >>>= 7;
  }
  bytes[at++] = lower;
  return at;
};
