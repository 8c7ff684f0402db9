import { fromJson, type JsonObject } from "@bufbuild/protobuf";
import { FeatureRepositorySchema } from "@millrace/contracts/millrace/feature/v1/feature_repository";
import { compileRepository } from "@millrace/feature-definition";
import { describe, expect, test } from "vitest";
import { type Definitions, planChanges, RowTooLargeError } from "./plan-changes.ts";

const definitionsWith = (view: JsonObject): Definitions => {
  const repository = fromJson(FeatureRepositorySchema, {
    entities: [{ name: "shop", keys: [{ name: "shop", type: "STRING" }] }],
    sources: [
      {
        name: "sales",
        fields: [
          { name: "shop", type: "STRING" },
          { name: "customer", type: "INT64" },
          { name: "embedding", type: "FLOAT_LIST", length: 1024 },
          { name: "sold_at", type: "TIMESTAMP" },
        ],
        eventTime: "sold_at",
        stream: { topic: "sales", format: "JSON" },
      },
    ],
    featureViews: [{ name: "customers", entity: "shop", source: "sales", ...view }],
  });
  return { repository, compiled: compileRepository(repository) };
};

const distinct = (hop: string): JsonObject => ({
  aggregates: [{ name: "customers_7d", function: "DISTINCT_COUNT", of: "customer", window: "7d", hop }],
});

describe("a plan", () => {
  test("refuses a view whose usual row is above 4096 bytes, naming view and bytes", () => {
    const plan = () => planChanges(undefined, definitionsWith(distinct("1h")));
    expect(plan).toThrow(RowTooLargeError);
    expect(plan).toThrow(/customers would keep about [4-9]\d{3} bytes a key online; 4096 are allowed/);
  });

  test("takes it with coarser hops, or where the view allows more", () => {
    const change = (view: JsonObject) =>
      planChanges(undefined, definitionsWith(view)).find(({ object }) => object === "feature view");
    expect(Number(change(distinct("1d"))?.typicalBytesPerKey)).toBeLessThan(1000);
    expect(Number(change({ ...distinct("1h"), maxBytesPerKey: 10_000 })?.typicalBytesPerKey)).toBeGreaterThan(4096);
  });

  test("counts an embedding by its length", () => {
    const latest = { features: [{ name: "embedding" }] };
    expect(() => planChanges(undefined, definitionsWith(latest))).toThrow(RowTooLargeError);
    const [change] = planChanges(undefined, definitionsWith({ ...latest, maxBytesPerKey: 5000 })).filter(
      ({ object }) => object === "feature view",
    );
    expect(Number(change?.typicalBytesPerKey)).toBeGreaterThan(4 * 1024);
    expect(Number(change?.typicalBytesPerKey)).toBeLessThan(4 * 1024 + 100);
  });

  test("keeps no row of a view that is not online", () => {
    expect(() => planChanges(undefined, definitionsWith({ ...distinct("1h"), online: false }))).not.toThrow();
  });
});
