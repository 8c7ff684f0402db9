import { create, toBinary } from "@bufbuild/protobuf";
import {
  GetFeaturesResponseSchema,
  StreamFeaturesResponseSchema,
} from "@millrace/contracts/millrace/feature/v1/feature_service";
import { describe, expect, test } from "vitest";
import { below, pick, randomColumn, seed, texts } from "../test/random-columns.ts";
import { columnMessage } from "./column-values.ts";
import { encodeFeatures, encodeStreamFeatures } from "./encode-features.ts";
import type { FeaturesAnswer } from "./read-features.ts";

console.log(`seed ${seed}`);

const randomAnswer = (rows: number): FeaturesAnswer => ({
  asOf: pick(texts),
  featureServiceVersion: pick(texts),
  withEventTimes: below(2) === 0,
  features: Array.from({ length: below(8) }, (_, index) => ({ name: `view__${index}`, column: randomColumn(rows) })),
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
