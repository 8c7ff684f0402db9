import { create, toBinary } from "@bufbuild/protobuf";
import {
  FieldStatus,
  GetOnlineFeaturesResponse_FeatureVectorSchema,
} from "@millrace/contracts/feast/serving/ServingService";
import type { Value } from "@millrace/contracts/feast/types/Value";
import { ValueType } from "@millrace/contracts/millrace/feature/v1/column";
import type { ServedColumn } from "@millrace/feature-definition/stream";
import { columnMessage } from "../column-values.ts";
import {
  bytesField,
  encodedFields,
  encodeFields,
  messageField,
  textField,
  varintLength,
  type WireField,
  writeVarint,
} from "../wire-fields.ts";
import { fieldStatus, isNull } from "./answered-feature.ts";
import { feastValues } from "./feast-values.ts";
import type { OnlineColumn } from "./online-features.ts";

/** Tags of fields that have a length, by message. */
const tag = {
  response: { metadata: 0x0a, results: 0x12 },
  metadata: { featureNames: 0x0a },
  list: { val: 0x0a },
  vector: { values: 0x0a, statuses: 0x12, eventTimestamps: 0x1a },
};

/** `status: true`, which Feast's servers always answer. */
const statusTrue = Uint8Array.of(0x18, 1);

/**
 * The bytes of a GetOnlineFeaturesResponse. Feast has a message for each value and each time: the general codec makes and
 * walks one object for each of them.
 */
export const encodeOnlineFeatures = (columns: readonly OnlineColumn<Value>[]): Uint8Array =>
  encodeFields([
    messageField(tag.response.metadata, [
      messageField(
        tag.metadata.featureNames,
        columns.map(({ name }) => textField(tag.list.val, name)),
      ),
    ]),
    ...columns.map((one) => messageField(tag.response.results, vectorFields(one))),
    encodedFields(statusTrue),
  ]);

const vectorFields = (one: OnlineColumn<Value>): WireField[] => {
  if (one.kind === "sent") return [encodedFields(sentVector(one.values))];
  const { column } = one;
  if (column.rows === 0) return [];
  return [
    encodedFields(valuesOf(column, (row) => isNull(one, row))),
    bytesField(tag.vector.statuses, column.statuses().map(fieldStatus)),
    encodedFields(timesOf(column)),
  ];
};

/** What the caller sent, as it came; there is no time to it. */
const sentVector = (values: readonly Value[]): Uint8Array =>
  toBinary(
    GetOnlineFeaturesResponse_FeatureVectorSchema,
    create(GetOnlineFeaturesResponse_FeatureVectorSchema, {
      values: [...values],
      statuses: values.map(() => FieldStatus.PRESENT),
      eventTimestamps: values.map(() => ({})),
    }),
  );

/** The values of a feature, each as a field with a message; null is the empty one. */
const valuesOf = (column: ServedColumn, isNull: (row: number) => boolean): Uint8Array => {
  const numbers = column.numbers();
  const halves = column.integerHalves();
  if (numbers !== undefined) return numbersOf(numbers, column.type, isNull);
  if (halves !== undefined && column.type === ValueType.INT64) return integersOf(halves, isNull);
  const values = feastValues(columnMessage(column), isNull);
  return toBinary(
    GetOnlineFeaturesResponse_FeatureVectorSchema,
    create(GetOnlineFeaturesResponse_FeatureVectorSchema, { values }),
  );
};

const numbersOf = (numbers: Float64Array, type: ValueType, isNull: (row: number) => boolean): Uint8Array => {
  const isFloat = type === ValueType.FLOAT;
  const valueBytes = isFloat ? 4 : 8;
  const bytes = Buffer.allocUnsafe(numbers.length * (3 + valueBytes));
  let at = 0;
  for (let row = 0; row < numbers.length; row++) {
    bytes[at++] = tag.vector.values;
    if (isNull(row)) {
      bytes[at++] = 0;
      continue;
    }
    bytes[at++] = 1 + valueBytes;
    // float_val = 6 of 32 bits, double_val = 5 of 64.
    bytes[at++] = isFloat ? 0x35 : 0x29;
    at = isFloat ? bytes.writeFloatLE(numbers[row] ?? 0, at) : bytes.writeDoubleLE(numbers[row] ?? 0, at);
  }
  return bytes.subarray(0, at);
};

const integersOf = (halves: Int32Array, isNull: (row: number) => boolean): Uint8Array => {
  const rows = halves.length / 2;
  const bytes = Buffer.allocUnsafe(rows * 13);
  let at = 0;
  for (let row = 0; row < rows; row++) {
    bytes[at++] = tag.vector.values;
    if (isNull(row)) {
      bytes[at++] = 0;
      continue;
    }
    const low = halves[row * 2] ?? 0;
    const high = halves[row * 2 + 1] ?? 0;
    bytes[at++] = 1 + varintLength(low, high);
    // int64_val = 4.
    bytes[at++] = 0x20;
    at = writeVarint(bytes, at, low, high);
  }
  return bytes.subarray(0, at);
};

/** The times of a feature, each as a google.protobuf.Timestamp; 1970 where there is none. */
const timesOf = (column: ServedColumn): Uint8Array => {
  const bytes = Buffer.allocUnsafe(column.rows * 19);
  let at = 0;
  for (let row = 0; row < column.rows; row++) {
    const timeUs = column.eventTimeUs(row);
    const seconds = Math.floor(timeUs / 1_000_000);
    const nanoseconds = (timeUs - seconds * 1_000_000) * 1000;
    bytes[at++] = tag.vector.eventTimestamps;
    const lengthAt = at++;
    if (seconds !== 0) {
      bytes[at++] = 0x08;
      const high = Math.floor(seconds / 2 ** 32);
      at = writeVarint(bytes, at, (seconds - high * 2 ** 32) | 0, high | 0);
    }
    if (nanoseconds !== 0) {
      bytes[at++] = 0x10;
      at = writeVarint(bytes, at, nanoseconds, 0);
    }
    bytes[lengthAt] = at - lengthAt - 1;
  }
  return bytes.subarray(0, at);
};
