import { create } from "@bufbuild/protobuf";
import { FeatureStatus } from "@millrace/contracts/millrace/feature/v1/column";
import { FeatureColumnSchema } from "@millrace/contracts/millrace/feature/v1/feature_service";
import { describe, expect, test } from "vitest";
import { featureColumn, valueAt } from "./column-rows.ts";

const served = create(FeatureColumnSchema, {
  name: "view__feature",
  values: { values: { case: "int64s", value: { values: [7n, 0n] } } },
  statuses: Uint8Array.of(FeatureStatus.PRESENT, FeatureStatus.NOT_FOUND),
});

describe("a served column", () => {
  test("is null where nothing was found", () => {
    const column = featureColumn(served, false);
    expect([column.isNull(0), column.isNull(1)]).toEqual([false, true]);
    expect(valueAt(column, 1)).toBeUndefined();
  });

  test("that is never null, as a count, keeps its 0 beside the status NOT_FOUND", () => {
    const column = featureColumn(served, true);
    expect([column.isNull(0), column.isNull(1)]).toEqual([false, false]);
    expect(valueAt(column, 1)).toEqual({ value: { case: "int64", value: 0n } });
    expect(column.status(1)).toBe(FeatureStatus.NOT_FOUND);
  });
});
