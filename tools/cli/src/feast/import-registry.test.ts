import { fromJson } from "@bufbuild/protobuf";
import { FeatureRepositorySchema } from "@millrace/contracts/millrace/feature/v1/feature_repository";
import { compileRepository } from "@millrace/feature-definition";
import { describe, expect, test } from "vitest";
import { feastRegistry } from "./feast-registry.ts";
import { importRegistry } from "./import-registry.ts";

const files = {
  name: "stats",
  type: "BATCH_FILE",
  timestampField: "event_timestamp",
  createdTimestampColumn: "created",
  fileOptions: { uri: "data/stats.parquet" },
  fieldMapping: { conv: "conv_rate" },
};
const driver = [{ name: "driver_id", valueType: "INT64" }];
const column = (name: string, valueType: string) => ({ name, valueType });

/** A registry in the form of `feast registry-dump`, with one of everything. */
const dump = {
  project: "demo",
  entities: [
    { spec: { name: "driver", joinKey: "driver_id" } },
    { spec: { name: "customer", joinKey: "customer_id" } },
    { spec: { name: "__dummy", joinKey: "__dummy_id" } },
  ],
  featureViews: [
    {
      spec: {
        name: "driver_stats",
        entities: ["driver"],
        entityColumns: driver,
        features: [column("conv_rate", "FLOAT"), column("trips", "INT32"), column("profile", "STRUCT")],
        ttl: "86400s",
        online: true,
        batchSource: files,
        meta: { of: "a newer Feast" },
      },
    },
    {
      spec: {
        name: "Trip-Stats",
        entities: ["driver", "customer"],
        entityColumns: [...driver, column("customer_id", "STRING")],
        features: [column("embedding", "FLOAT_LIST")],
        ttl: "0s",
        batchSource: { ...files, name: "trips" },
        streamSource: { name: "trip_push", type: "PUSH_SOURCE", timestampField: "event_timestamp", batchSource: files },
      },
    },
    { spec: { name: "global_stats", entities: ["__dummy"], features: [column("mean", "DOUBLE")], batchSource: files } },
    {
      spec: {
        name: "warehouse_stats",
        entities: ["driver"],
        entityColumns: driver,
        features: [column("total", "DOUBLE")],
        batchSource: { name: "warehouse", type: "BATCH_SNOWFLAKE", timestampField: "at" },
      },
    },
  ],
  streamFeatureViews: [
    {
      spec: {
        name: "driver_windows",
        entities: ["driver"],
        entityColumns: driver,
        features: [column("fare", "DOUBLE")],
        online: true,
        streamSource: {
          name: "rides",
          type: "STREAM_KAFKA",
          timestampField: "ridden_at",
          kafkaOptions: { topic: "rides", messageFormat: { jsonFormat: { schemaJson: "" } } },
        },
        aggregations: [
          { column: "fare", function: "sum", timeWindow: "3600s", slideInterval: "300s" },
          { column: "fare", function: "mode", timeWindow: "3600s" },
        ],
      },
    },
  ],
  labelViews: [{ spec: { name: "quality" } }],
  onDemandFeatureViews: [
    { spec: { name: "plus_one", featureTransformation: { userDefinedFunction: { bodyText: "return x + 1\n" } } } },
  ],
  featureServices: [
    {
      spec: {
        name: "v1",
        features: [
          {
            featureViewName: "driver_stats",
            featureColumns: [column("conv_rate", "FLOAT"), column("profile", "STRUCT")],
          },
          { featureViewName: "plus_one", featureColumns: [column("y", "DOUBLE")] },
        ],
      },
    },
    {
      spec: {
        name: "only_python",
        features: [{ featureViewName: "plus_one", featureColumns: [column("y", "DOUBLE")] }],
      },
    },
  ],
};

const imported = importRegistry(feastRegistry.parse(dump));
const notes = imported.notes.join("\n");
const compiled = compileRepository(fromJson(FeatureRepositorySchema, imported.repository));

describe("a Feast registry becomes definitions that compile", () => {
  test("views keep their names, types, keys and ttl", () => {
    const view = compiled.views.get("driver_stats");
    expect(view).toMatchObject({ kind: "latestRow", ttlUs: 86_400_000_000n, online: true });
    expect(view?.entity.keys.map(({ name }) => name)).toEqual(["driver_id"]);
    const features = view?.kind === "latestRow" ? view.features : [];
    expect(features.map(({ name, expression }) => [name, expression.text])).toEqual([
      ["conv_rate", "conv"],
      ["trips", "trips"],
    ]);
  });

  test("no row is refused for its times, as Feast refuses none", () => {
    expect(compiled.sources.get("stats")).toMatchObject({ eventTime: "event_timestamp", createdAt: "created" });
    expect(compiled.sources.get("stats")?.allowedLatenessUs).toBeGreaterThan(86_400_000_000n * 10_000n);
  });

  test("several entities become one with all their keys, and a push source gives its name", () => {
    const view = compiled.views.get("trip_stats");
    expect(view?.entity).toMatchObject({
      name: "driver_customer",
      keys: [{ name: "driver_id" }, { name: "customer_id" }],
    });
    expect(view?.source).toMatchObject({ name: "trip_push", stream: { topic: "trip_push" } });
    expect(notes).toContain("The feature view Trip-Stats is called trip_stats here");
    expect(notes).toContain("driver_customer is one entity with all their keys");
  });

  test("aggregations of a Kafka stream become windows", () => {
    const view = compiled.views.get("driver_windows");
    expect(view?.source.stream?.topic).toBe("rides");
    expect(view?.kind === "aggregate" ? view.aggregates : []).toMatchObject([
      { name: "sum_fare_3600s", windowUs: 3_600_000_000n, hopUs: 300_000_000n },
    ]);
    expect(notes).toContain("mode over 3600s has no equal");
  });

  test("feature services keep what is left of them", () => {
    expect(compiled.services.get("v1")?.features.map(({ fullName }) => fullName)).toEqual(["driver_stats__conv_rate"]);
    expect([...compiled.services.keys()]).toEqual(["v1"]);
  });

  test.each([
    ["a type that has no equal", "The feature driver_stats:profile is left out: STRUCT has no equal."],
    ["a view without an entity", "The feature view global_stats is left out"],
    ["a warehouse", "The data of the source warehouse is BATCH_SNOWFLAKE, which has no equal"],
    ["labels", "The label view quality is left out"],
    ["Python", "The on-demand view plus_one is Python"],
    ["a service of which nothing is left", "The feature service only_python is left out"],
  ])("%s is said", (_, note) => {
    expect(notes).toContain(note);
  });

  test("the Python is kept for whoever writes the expressions", () => {
    expect(imported.code.get("plus_one")).toBe("return x + 1\n");
  });
});
