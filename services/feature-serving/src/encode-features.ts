import { toBinary } from "@bufbuild/protobuf";
import { ColumnValuesSchema, ValueType } from "@millrace/contracts/millrace/feature/v1/column";
import type { ServedColumn } from "@millrace/feature-definition/stream";
import { columnMessage } from "./column-values.ts";
import type { FeaturesAnswer, ServedFeature } from "./read-features.ts";

/** A field of protobuf's wire format that has a length: its tag, and its bytes or the fields in it. */
interface Field {
  readonly tag: number;
  /** Of the content. */
  readonly length: number;
  readonly content: Uint8Array | string | readonly Field[];
}

/** Tags of fields that have a length, by message. */
const tag = {
  response: { features: 0x0a, asOf: 0x12, featureServiceVersion: 0x1a },
  feature: { name: 0x0a, values: 0x12, statuses: 0x1a, eventTimesUs: 0x22 },
  values: { int64s: 0x12, doubles: 0x1a, floats: 0x22, timestamps: 0x3a },
  packed: 0x0a,
  stream: { id: 0x0a, response: 0x12 },
};

/**
 * The bytes of a GetFeaturesResponse. Numbers are copied from their columns; the general codec would walk them one by
 * one. Wire format: https://protobuf.dev/programming-guides/encoding/.
 */
export const encodeFeatures = (answer: FeaturesAnswer): Uint8Array => encode(fieldsOf(answer));

/** The bytes of a StreamFeaturesResponse with an answer. */
export const encodeStreamFeatures = (id: string, answer: FeaturesAnswer): Uint8Array =>
  encode([...textField(tag.stream.id, id), messageField(tag.stream.response, fieldsOf(answer))]);

const fieldsOf = ({ features, asOf, featureServiceVersion, withEventTimes }: FeaturesAnswer): Field[] => [
  ...features.map((feature) => messageField(tag.response.features, featureFields(feature, withEventTimes))),
  ...textField(tag.response.asOf, asOf),
  ...textField(tag.response.featureServiceVersion, featureServiceVersion),
];

const featureFields = ({ name, column }: ServedFeature, withEventTimes: boolean): Field[] => {
  const fields = [...textField(tag.feature.name, name), valuesField(column)];
  if (column.rows === 0) return fields;
  fields.push(bytesField(tag.feature.statuses, column.statuses()));
  if (withEventTimes) fields.push(bytesField(tag.feature.eventTimesUs, packedTimes(column.eventTimesUs())));
  return fields;
};

const valuesField = (column: ServedColumn): Field => {
  const packed = (valuesTag: number, bytes: Uint8Array): Field =>
    messageField(tag.feature.values, [
      messageField(valuesTag, bytes.length === 0 ? [] : [bytesField(tag.packed, bytes)]),
    ]);
  const { type } = column;
  const numbers = column.numbers();
  if (numbers !== undefined) {
    return type === ValueType.FLOAT
      ? packed(tag.values.floats, bytesOf(Float32Array.from(numbers)))
      : packed(tag.values.doubles, bytesOf(numbers));
  }
  const halves = column.integerHalves();
  if (halves !== undefined) {
    return packed(type === ValueType.INT64 ? tag.values.int64s : tag.values.timestamps, packedIntegers(halves));
  }
  return bytesField(tag.feature.values, toBinary(ColumnValuesSchema, columnMessage(column)));
};

const bytesOf = ({ buffer, byteOffset, byteLength }: Float32Array | Float64Array): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength);

/** Pairs of 32 bits, the lower first, as varints. */
const packedIntegers = (halves: Int32Array): Uint8Array => {
  let length = 0;
  for (let at = 0; at < halves.length; at += 2) length += integerLength(halves[at] ?? 0, halves[at + 1] ?? 0);
  const bytes = new Uint8Array(length);
  let end = 0;
  for (let at = 0; at < halves.length; at += 2) end = writeInteger(bytes, end, halves[at] ?? 0, halves[at + 1] ?? 0);
  return bytes;
};

const packedTimes = (timesUs: Float64Array): Uint8Array => {
  const halves = new Int32Array(timesUs.length * 2);
  timesUs.forEach((timeUs, index) => {
    const high = Math.floor(timeUs / 2 ** 32);
    halves[index * 2] = timeUs - high * 2 ** 32;
    halves[index * 2 + 1] = high;
  });
  return packedIntegers(halves);
};

/** Bytes of a varint of 64 bits. */
const integerLength = (low: number, high: number): number => {
  if (high !== 0) return high < 0 ? 10 : Math.floor((63 - Math.clz32(high)) / 7) + 1;
  if (low >= 0 && low < 0x80) return 1;
  return Math.floor((31 - Math.clz32(low)) / 7) + 1;
};

/** Answers where the next byte belongs. */
const writeInteger = (bytes: Uint8Array, from: number, low: number, high: number): number => {
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

const bytesField = (fieldTag: number, content: Uint8Array): Field => ({
  tag: fieldTag,
  length: content.length,
  content,
});

/** A text that is empty is left out. */
const textField = (fieldTag: number, content: string): Field[] =>
  content === "" ? [] : [{ tag: fieldTag, length: Buffer.byteLength(content), content }];

const messageField = (fieldTag: number, content: readonly Field[]): Field => ({
  tag: fieldTag,
  length: lengthOf(content),
  content,
});

const lengthOf = (fields: readonly Field[]): number => {
  let length = 0;
  for (const field of fields) length += 1 + integerLength(field.length, 0) + field.length;
  return length;
};

const encode = (fields: readonly Field[]): Uint8Array => {
  const bytes = Buffer.allocUnsafe(lengthOf(fields));
  writeFields(bytes, 0, fields);
  return bytes;
};

const writeFields = (bytes: Buffer, from: number, fields: readonly Field[]): number => {
  let at = from;
  for (const { tag: fieldTag, length, content } of fields) {
    bytes[at] = fieldTag;
    at = writeInteger(bytes, at + 1, length, 0);
    if (typeof content === "string") bytes.write(content, at);
    else if (content instanceof Uint8Array) bytes.set(content, at);
    else writeFields(bytes, at, content);
    at += length;
  }
  return at;
};
