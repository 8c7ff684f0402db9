import { create, toBinary } from "@bufbuild/protobuf";
import {
  FieldStatus,
  GetOnlineFeaturesResponse_FeatureVectorSchema,
  GetOnlineFeaturesResponseSchema,
} from "@millrace/contracts/feast/serving/ServingService";
import { ValueSchema } from "@millrace/contracts/feast/types/Value";
import { FeatureStatus } from "@millrace/contracts/millrace/feature/v1/column";
import { describe, expect, test } from "vitest";
import { below, pick, randomColumn, seed } from "../../test/random-columns.ts";
import { columnMessage } from "../column-values.ts";
import { encodeOnlineFeatures, type FeastColumn } from "./encode-online-features.ts";
import { feastValues } from "./feast-values.ts";

console.log(`seed ${seed}`);

const randomColumnOf = (rows: number): FeastColumn => {
  if (below(4) > 0) return { kind: "feature", column: randomColumn(rows), isNeverNull: below(4) === 0 };
  const values = Array.from({ length: rows }, () =>
    create(ValueSchema, { val: { case: "int64Val", value: BigInt(below(1000)) } }),
  );
  return { kind: "sent", vector: create(GetOnlineFeaturesResponse_FeatureVectorSchema, { values }) };
};

/** The same column, for the general codec. */
const vectorOf = (one: FeastColumn) => {
  if (one.kind === "sent") return one.vector;
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
      const columns = Array.from({ length: below(8) }, () => randomColumnOf(rows));
      const names = columns.map((_, index) => `view__${index}`);
      const message = create(GetOnlineFeaturesResponseSchema, {
        metadata: { featureNames: { val: names } },
        results: columns.map(vectorOf),
        status: true,
      });
      const bytes = Buffer.from(encodeOnlineFeatures(names, columns));
      expect(bytes.equals(toBinary(GetOnlineFeaturesResponseSchema, message)), `seed ${seed}, round ${round}`).toBe(
        true,
      );
    }
  });
});
