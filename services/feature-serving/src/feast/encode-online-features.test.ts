import { create, toBinary } from "@bufbuild/protobuf";
import {
  FieldStatus,
  GetOnlineFeaturesResponse_FeatureVectorSchema,
  GetOnlineFeaturesResponseSchema,
} from "@millrace/contracts/feast/serving/ServingService";
import { type Value, ValueSchema } from "@millrace/contracts/feast/types/Value";
import { FeatureStatus } from "@millrace/contracts/millrace/feature/v1/column";
import { describe, expect, test } from "vitest";
import { below, pick, randomColumn, seed } from "../../test/random-columns.ts";
import { columnMessage } from "../column-values.ts";
import { encodeOnlineFeatures } from "./encode-online-features.ts";
import { feastValues } from "./feast-values.ts";
import type { OnlineColumn } from "./online-features.ts";

console.log(`seed ${seed}`);

const randomColumnOf = (rows: number, name: string): OnlineColumn<Value> => {
  if (below(4) > 0) return { kind: "feature", name, column: randomColumn(rows), isNeverNull: below(4) === 0 };
  const values = Array.from({ length: rows }, () =>
    create(ValueSchema, { val: { case: "int64Val", value: BigInt(below(1000)) } }),
  );
  return { kind: "sent", name, values };
};

/** The same column, for the general codec. */
const vectorOf = (one: OnlineColumn<Value>) => {
  if (one.kind === "sent") {
    return create(GetOnlineFeaturesResponse_FeatureVectorSchema, {
      values: [...one.values],
      statuses: one.values.map(() => FieldStatus.PRESENT),
      eventTimestamps: one.values.map(() => ({})),
    });
  }
  const { column, isNeverNull } = one;
  return create(GetOnlineFeaturesResponse_FeatureVectorSchema, {
    values: feastValues(columnMessage(column), (row) => !isNeverNull && column.status(row) !== FeatureStatus.PRESENT),
    statuses: Array.from(column.statuses(), (status) => status as FieldStatus),
    eventTimestamps: Array.from(column.eventTimesUs(), (us) => {
      const seconds = BigInt(us) / 1_000_000n - (us < 0 && us % 1_000_000 !== 0 ? 1n : 0n);
      return { seconds, nanos: Number(BigInt(us) - seconds * 1_000_000n) * 1000 };
    }),
  });
};

describe("an answer by Feast's contract", () => {
  test("has the bytes that the general codec gives it, for columns of every type", () => {
    expect(FieldStatus.OUTSIDE_MAX_AGE).toBe(4);
    for (let round = 0; round < 300; round++) {
      const rows = pick([0, 1, 2, 7, 100]);
      const columns = Array.from({ length: below(8) }, (_, index) => randomColumnOf(rows, `view__${index}`));
      const message = create(GetOnlineFeaturesResponseSchema, {
        metadata: { featureNames: { val: columns.map(({ name }) => name) } },
        results: columns.map(vectorOf),
        status: true,
      });
      const bytes = Buffer.from(encodeOnlineFeatures(columns));
      expect(bytes.equals(toBinary(GetOnlineFeaturesResponseSchema, message)), `seed ${seed}, round ${round}`).toBe(
        true,
      );
    }
  });
});
