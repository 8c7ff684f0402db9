import { toBinary } from "@bufbuild/protobuf";
import { ColumnValuesSchema, ValueType } from "@millrace/contracts/millrace/feature/v1/column";
import type { ServedColumn } from "@millrace/feature-definition/stream";
import { columnMessage } from "./column-values.ts";
import type { FeaturesAnswer, ServedFeature } from "./read-features.ts";
import {
  bytesField,
  encodeFields,
  messageField,
  textField,
  varintLength,
  type WireField,
  writeVarint,
} from "./wire-fields.ts";

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
export const encodeFeatures = (answer: FeaturesAnswer): Uint8Array => encodeFields(fieldsOf(answer));

/** The bytes of a StreamFeaturesResponse with an answer. */
export const encodeStreamFeatures = (id: string, answer: FeaturesAnswer): Uint8Array =>
  encodeFields([...optionalText(tag.stream.id, id), messageField(tag.stream.response, fieldsOf(answer))]);

const fieldsOf = ({ features, asOf, featureServiceVersion, withEventTimes }: FeaturesAnswer): WireField[] => [
  ...features.map((feature) => messageField(tag.response.features, featureFields(feature, withEventTimes))),
  ...optionalText(tag.response.asOf, asOf),
  ...optionalText(tag.response.featureServiceVersion, featureServiceVersion),
];

const featureFields = ({ name, column }: ServedFeature, withEventTimes: boolean): WireField[] => {
  const fields = [...optionalText(tag.feature.name, name), valuesField(column)];
  if (column.rows === 0) return fields;
  fields.push(bytesField(tag.feature.statuses, column.statuses()));
  if (withEventTimes) fields.push(bytesField(tag.feature.eventTimesUs, packedTimes(column.eventTimesUs())));
  return fields;
};

const valuesField = (column: ServedColumn): WireField => {
  const packed = (valuesTag: number, bytes: Uint8Array): WireField =>
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
  for (let at = 0; at < halves.length; at += 2) length += varintLength(halves[at] ?? 0, halves[at + 1] ?? 0);
  const bytes = new Uint8Array(length);
  let end = 0;
  for (let at = 0; at < halves.length; at += 2) end = writeVarint(bytes, end, halves[at] ?? 0, halves[at + 1] ?? 0);
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

/** A text that is empty is left out. */
const optionalText = (fieldTag: number, content: string): WireField[] =>
  content === "" ? [] : [textField(fieldTag, content)];
