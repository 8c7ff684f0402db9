import { create, toBinary } from "@bufbuild/protobuf";
import { FeatureStatus, ValueType } from "@millrace/contracts/millrace/feature/v1/column";
import {
  GetFeaturesResponseSchema,
  StreamFeaturesResponseSchema,
} from "@millrace/contracts/millrace/feature/v1/feature_service";
import { elementType, type Scalar } from "@millrace/feature-definition";
import { ServedColumn } from "@millrace/feature-definition/stream";
import { describe, expect, test } from "vitest";
import { columnMessage } from "./column-values.ts";
import { encodeFeatures, encodeStreamFeatures } from "./encode-features.ts";
import type { FeaturesAnswer } from "./read-features.ts";

const seed = Number(process.env.MILLRACE_SEED ?? Math.floor(Math.random() * 2 ** 31));
console.log(`seed ${seed}`);
let state = seed;
/** Whole numbers from 0 up to, and without, the limit. (Numerical Recipes' linear congruential generator.) */
const below = (limit: number): number => {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
  return Math.floor((state / 2 ** 32) * limit);
};

const pick = <T>(values: readonly T[]): T => values[below(values.length)] as T;
const integers = [0n, 1n, -1n, 127n, 128n, 2n ** 31n, -(2n ** 31n), 2n ** 32n, 2n ** 53n, 2n ** 63n - 1n, -(2n ** 63n)];
const numbers = [0, -0, 1.5, -1e300, Number.NaN, Number.POSITIVE_INFINITY, 5e-324];
const texts = ["", "a", "žluťoučký", "🦜", "x".repeat(200)];

const randomValue = (type: ValueType): Exclude<Scalar, null> => {
  switch (type) {
    case ValueType.BOOL:
      return below(2) === 1;
    case ValueType.INT64:
    case ValueType.TIMESTAMP:
      return below(2) === 0 ? pick(integers) : BigInt(below(1e9)) * BigInt(below(1e9)) - 2n ** 40n;
    case ValueType.DOUBLE:
      return below(2) === 0 ? pick(numbers) : below(1e6) / 7;
    case ValueType.FLOAT:
      return Math.fround(below(1e6) / 7);
    case ValueType.STRING:
      return pick(texts);
    case ValueType.BYTES:
      return Uint8Array.from({ length: below(5) }, () => below(256));
  }
  const element = elementType(type);
  if (element === undefined) throw new TypeError(`No value of type ${type}.`);
  return Array.from({ length: below(4) }, () => (below(5) === 0 ? null : randomValue(element)));
};

const types: readonly ValueType[] = [
  ValueType.BOOL,
  ValueType.INT64,
  ValueType.DOUBLE,
  ValueType.FLOAT,
  ValueType.STRING,
  ValueType.BYTES,
  ValueType.TIMESTAMP,
  ValueType.BOOL_LIST,
  ValueType.INT64_LIST,
  ValueType.DOUBLE_LIST,
  ValueType.FLOAT_LIST,
  ValueType.STRING_LIST,
  ValueType.BYTES_LIST,
  ValueType.TIMESTAMP_LIST,
];
const statuses = [FeatureStatus.NULL_VALUE, FeatureStatus.NOT_FOUND, FeatureStatus.OUTSIDE_MAX_AGE];

const randomAnswer = (rows: number): FeaturesAnswer => ({
  asOf: pick(texts),
  featureServiceVersion: pick(texts),
  withEventTimes: below(2) === 0,
  features: Array.from({ length: below(8) }, (_, index) => {
    const column = new ServedColumn(pick(types), rows);
    for (let row = 0; row < rows; row++) {
      const isPresent = below(4) > 0;
      column.setValue(row, isPresent ? randomValue(column.type) : null);
      column.setStatus(row, isPresent ? FeatureStatus.PRESENT : pick(statuses));
      column.setEventTimeUs(row, pick([0, -1, 127, 128, 2 ** 31, 2 ** 32, 1_764_000_000_000_000, -(2 ** 52)]));
    }
    return { name: `view__${index}`, column };
  }),
});

/** The same answer, for the general codec. */
const messageOf = ({ features, asOf, featureServiceVersion, withEventTimes }: FeaturesAnswer) =>
  create(GetFeaturesResponseSchema, {
    asOf,
    featureServiceVersion,
    features: features.map(({ name, column }) => ({
      name,
      values: columnMessage(column),
      statuses: column.statuses(),
      eventTimesUs: withEventTimes ? Array.from(column.eventTimesUs(), BigInt) : [],
    })),
  });

describe("an answer with features", () => {
  test("has the bytes that the general codec gives it, for columns of every type", () => {
    for (let round = 0; round < 400; round++) {
      const answer = randomAnswer(pick([0, 1, 2, 7, 100]));
      const message = messageOf(answer);
      const bytes = Buffer.from(encodeFeatures(answer));
      expect(bytes.equals(toBinary(GetFeaturesResponseSchema, message)), `seed ${seed}, round ${round}`).toBe(true);
      const streamed = create(StreamFeaturesResponseSchema, {
        id: answer.asOf,
        result: { case: "response", value: message },
      });
      const streamedBytes = Buffer.from(encodeStreamFeatures(answer.asOf, answer));
      expect(streamedBytes.equals(toBinary(StreamFeaturesResponseSchema, streamed)), `seed ${seed}`).toBe(true);
    }
  });
});
