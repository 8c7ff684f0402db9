import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fromJson, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type ColumnSchema,
  type ColumnValues,
  type ColumnValuesSchema,
  FeatureStatus,
} from "@millrace/contracts/millrace/feature/v1/column";
import { FeatureRepositorySchema } from "@millrace/contracts/millrace/feature/v1/feature_repository";
import { openEventLog } from "@millrace/event-log";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type FeatureServingProcess, startFeatureServing } from "./feature-serving-process.ts";

const at = BigInt(Date.UTC(2001, 0, 15, 12)) * 1000n;
const folder = mkdtempSync(join(tmpdir(), "value-types-"));
const stores = { onlineStoreUrl: `lmdb:${folder}/online`, eventLogUrl: `log:${folder}/log`, dataRoot: folder };

type Values = MessageInitShape<typeof ColumnValuesSchema>;

/** Two values of every type, packed. */
const pairs: Readonly<Record<string, Exclude<Values["values"], undefined>>> = {
  BOOL: { case: "bools", value: { values: [true, false] } },
  INT64: { case: "int64s", value: { values: [-(2n ** 62n), 3n] } },
  DOUBLE: { case: "doubles", value: { values: [0.1, Number.NaN] } },
  FLOAT: { case: "floats", value: { values: [Math.fround(0.1), -2] } },
  STRING: { case: "strings", value: { values: ["Zürich 😀", ""] } },
  BYTES: { case: "bytes", value: { values: [Uint8Array.of(0, 255), new Uint8Array()] } },
  TIMESTAMP: { case: "timestamps", value: { valuesUs: [at + 7n, -1n] } },
};
const types = Object.keys(pairs);

const pairOf = (type: string): readonly unknown[] => {
  const value: object = pairs[type]?.value ?? {};
  return Reflect.get(value, type === "TIMESTAMP" ? "valuesUs" : "values") ?? [];
};

/** Of the first row a list of two values, of the second one of two whose last element is null. */
const listsOf = (type: string): Values => {
  const pair = pairs[type];
  if (pair === undefined) throw new Error(type);
  const [first, second] = pairOf(type);
  const zeros = { BOOL: false, INT64: 0n, DOUBLE: 0, FLOAT: 0, STRING: "", BYTES: new Uint8Array(), TIMESTAMP: 0n };
  const items = [first, second, second, Reflect.get(zeros, type)];
  const elements = {
    values: { case: pair.case, value: type === "TIMESTAMP" ? { valuesUs: items } : { values: items } },
  };
  return {
    values: {
      case: "lists",
      value: { offsets: [0, 2, 4], elements: elements as Values, nulls: Uint8Array.of(0, 0, 0, 1) },
    },
  };
};

const repository = fromJson(FeatureRepositorySchema, {
  entities: [{ name: "shop", keys: [{ name: "shop", type: "STRING" }] }],
  sources: [
    {
      name: "facts",
      fields: [
        { name: "shop", type: "STRING" },
        { name: "happened_at", type: "TIMESTAMP" },
        ...types.map((type) => ({ name: type.toLowerCase(), type })),
        ...types.map((type) => ({ name: `${type.toLowerCase()}s`, type: `${type}_LIST`, length: 2 })),
      ],
      eventTime: "happened_at",
      createdAt: "happened_at",
      stream: { topic: "facts", format: "JSON" },
    },
  ],
  featureViews: [
    {
      name: "latest",
      entity: "shop",
      source: "facts",
      features: types.flatMap((type) => [
        { name: type.toLowerCase(), type },
        { name: `${type.toLowerCase()}s`, type: `${type}_LIST`, length: 2 },
      ]),
    },
    {
      name: "window",
      entity: "shop",
      source: "facts",
      aggregates: [
        { name: "last_embedding", function: "LAST", of: "floats", window: "1h" },
        { name: "last_two", function: "LAST_N", n: 2, of: "int64", window: "1h" },
      ],
    },
  ],
  featureServices: [{ name: "all", features: ["latest.*", "window.*"] }],
});

type Column = MessageInitShape<typeof ColumnSchema>;

const columns: Column[] = [
  { name: "shop", values: { values: { case: "strings", value: { values: ["a", "b"] } } } },
  { name: "happened_at", values: { values: { case: "timestamps", value: { valuesUs: [at, at] } } } },
  ...types.flatMap((type): Column[] => [
    { name: type.toLowerCase(), values: { values: pairs[type] ?? { case: undefined } } },
    { name: `${type.toLowerCase()}s`, values: listsOf(type) },
  ]),
];

const valuesOf = (column: ColumnValues | undefined): readonly unknown[] => {
  const held = column?.values;
  if (held?.case === undefined || held.case === "lists") return [];
  return held.case === "timestamps" ? held.value.valuesUs : held.value.values;
};

describe("GetFeatures after Push", { timeout: 60_000 }, () => {
  let service: FeatureServingProcess;
  beforeAll(async () => {
    service = await startFeatureServing(stores);
    await service.client.apply({ repository });
    await service.client.push({ source: "facts", columns, waitApplied: true });
  }, 60_000);
  afterAll(async () => {
    await service.stop();
    rmSync(folder, { recursive: true });
  });

  const served = async () => {
    const { features } = await service.client.getFeatures({
      selection: { case: "featureService", value: "all" },
      entities: [{ name: "shop", values: { values: { case: "strings", value: { values: ["a", "b", "nowhere"] } } } }],
      atUs: [at + 1n],
    });
    return new Map(features.map((feature) => [feature.name, feature]));
  };

  test.each(types)("packs values of type %s, and lists of them with their nulls", async (type) => {
    const features = await served();
    const scalar = features.get(`latest__${type.toLowerCase()}`);
    expect(valuesOf(scalar?.values).slice(0, 2)).toEqual(pairOf(type));
    expect([...(scalar?.statuses ?? [])]).toEqual([
      FeatureStatus.PRESENT,
      FeatureStatus.PRESENT,
      FeatureStatus.NOT_FOUND,
    ]);
    const lists = features.get(`latest__${type.toLowerCase()}s`)?.values?.values;
    const expected = listsOf(type).values;
    if (lists?.case !== "lists" || expected?.case !== "lists") throw new Error("no lists were served");
    expect(lists.value.offsets).toEqual([0, 2, 4, 4]);
    expect([...lists.value.nulls]).toEqual([0, 0, 0, 1]);
    expect(lists.value.elements).toMatchObject(expected.value.elements ?? {});
  });

  test("serves the last embedding and the last values of a window", async () => {
    const features = await served();
    const embedding = features.get("window__last_embedding")?.values?.values;
    if (embedding?.case !== "lists") throw new Error("no lists were served");
    expect(embedding.value.offsets).toEqual([0, 2, 4, 4]);
    expect(valuesOf(embedding.value.elements)).toEqual([Math.fround(0.1), -2, -2, 0]);
    const last = features.get("window__last_two")?.values?.values;
    if (last?.case !== "lists") throw new Error("no lists were served");
    expect(last.value).toMatchObject({ offsets: [0, 1, 2, 2], nulls: new Uint8Array() });
    expect(valuesOf(last.value.elements)).toEqual([-(2n ** 62n), 3n]);
  });

  test("refuses a pushed list of another length, naming the row", async () => {
    const elements: Values = { values: { case: "floats", value: { values: [1, 2, 3] } } };
    const call = service.client.push({
      source: "facts",
      columns: [
        ...columns.slice(0, 2),
        { name: "floats", values: { values: { case: "lists", value: { offsets: [0, 2, 3], elements } } } },
      ],
    });
    await expect(call).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
      reason: "COLUMN_INVALID",
      violations: [{ field: "columns[2].values[1]", expected: "2 elements for floats", got: "1" }],
    });
  });

  test("refuses nulls of another number than the elements", async () => {
    const elements: Values = { values: { case: "floats", value: { values: [1, 2] } } };
    const lists = { offsets: [0, 2], elements, nulls: Uint8Array.of(1) };
    const call = service.client.push({
      source: "facts",
      columns: [{ name: "floats", values: { values: { case: "lists", value: lists } } }],
    });
    await expect(call).rejects.toMatchObject({
      violations: [{ field: "columns[0].values.lists.nulls", expected: "one byte an element (2)", got: "1" }],
    });
  });

  test("puts a record whose list has another length with the dead letters, and goes on", async () => {
    const log = await openEventLog(stores.eventLogUrl);
    const text = new TextEncoder();
    const records = [
      [1, 2, 3],
      [7, 8],
    ].map((floats) => ({ shop: "c", happened_at: Number(at), floats }));
    const key = text.encode("c");
    await log.append(
      "facts",
      records.map((record) => ({ key, value: text.encode(JSON.stringify(record)) })),
    );
    await log.close();
    await service.client.awaitApplied({ source: "facts" });
    const { letters } = await service.client.listDeadLetters({ source: "facts" });
    expect(letters).toMatchObject([{ reason: "MALFORMED", detail: "floats: 2 elements were expected, got 3" }]);
    const { features } = await service.client.getFeatures({
      selection: { case: "references", value: { features: ["latest.floats"] } },
      entities: [{ name: "shop", values: { values: { case: "strings", value: { values: ["c"] } } } }],
      atUs: [at + 1n],
    });
    const lists = features[0]?.values?.values;
    expect(lists?.case === "lists" ? valuesOf(lists.value.elements) : []).toEqual([7, 8]);
  });
});
