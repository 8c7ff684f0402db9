import { create, toBinary } from "@bufbuild/protobuf";
import { ValueType } from "@millrace/contracts/millrace/feature/v1/column";
import { AggregateFunction, StreamSource_Format } from "@millrace/contracts/millrace/feature/v1/feature_repository";
import { GetFeaturesRequestSchema } from "@millrace/contracts/millrace/feature/v1/feature_service";
import type { FeatureServer, Repository } from "./feature-server.ts";

export const entities = 2000;
export const views = 5;
export const featuresOfView = 10;

/** How long ago the newest event of every entity happened, in microseconds, when it is pushed. */
const agoUs = 60_000_000n;

const names = Array.from({ length: views * featuresOfView }, (_, index) => `f${index}`);

/**
 * Fifty features of a device over five latest-row views, in the service `profile`, and five windowed aggregates of its
 * readings, in the service `windows`.
 * @param type of the features. @param others more views that are registered and that nobody asks for.
 */
export const profileRepository = (type: ValueType, others = 0): Repository => {
  const device = { name: "device", type: ValueType.INT64 };
  const at = { name: "at", type: ValueType.TIMESTAMP };
  const columns = names.map((name) => ({ name, type }));
  const profile = (name: string, first: number) => ({
    name,
    entity: "device",
    source: "profiles",
    features: columns.slice(first, first + featuresOfView),
  });
  return {
    entities: [{ name: "device", keys: [device] }],
    sources: [
      {
        name: "profiles",
        fields: [device, at, ...columns],
        eventTime: "at",
        createdAt: "at",
        stream: { topic: "profiles", format: StreamSource_Format.JSON },
      },
      {
        name: "readings",
        fields: [device, at, { name: "value", type: ValueType.DOUBLE }],
        eventTime: "at",
        createdAt: "at",
        stream: { topic: "readings", format: StreamSource_Format.JSON },
      },
    ],
    featureViews: [
      ...Array.from({ length: views }, (_, view) => profile(`profile_${view}`, view * featuresOfView)),
      ...Array.from({ length: others }, (_, view) => profile(`other_${view}`, 0)),
      {
        name: "windows",
        entity: "device",
        source: "readings",
        aggregates: [
          { name: "mean_1h", function: AggregateFunction.MEAN, of: "value", window: "1h" },
          { name: "max_24h", function: AggregateFunction.MAX, of: "value", window: "24h" },
          { name: "count_24h", function: AggregateFunction.COUNT, window: "24h" },
        ],
      },
    ],
    featureServices: [
      { name: "profile", features: Array.from({ length: views }, (_, view) => `profile_${view}.*`) },
      { name: "windows", features: ["windows.*"] },
    ],
  };
};

/** Gives every device a row in each of the latest-row views. */
export const pushProfiles = async ({ client }: FeatureServer, type: ValueType): Promise<void> => {
  const nowUs = BigInt(Date.now()) * 1000n - agoUs;
  for (let from = 0; from < entities; from += 500) {
    const devices = Array.from({ length: 500 }, (_, index) => BigInt(from + index));
    const values = (column: number) =>
      type === ValueType.INT64
        ? { case: "int64s" as const, value: { values: devices.map((one) => one * 1000n + BigInt(column)) } }
        : { case: "doubles" as const, value: { values: devices.map((one) => Number(one) + column / 64) } };
    await client.push(
      {
        source: "profiles",
        columns: [
          { name: "device", values: { values: { case: "int64s", value: { values: devices } } } },
          { name: "at", values: { values: { case: "timestamps", value: { valuesUs: devices.map(() => nowUs) } } } },
          ...names.map((name, column) => ({ name, values: { values: values(column) } })),
        ],
        waitApplied: true,
      },
      { timeoutMs: 60_000 },
    );
  }
};

/** The bytes of a request for so many devices, none twice. */
export const deviceRequest = (featureService: string, rows: number): Buffer => {
  const values = Array.from({ length: rows }, (_, index) => BigInt((index * 37) % entities));
  const message = create(GetFeaturesRequestSchema, {
    selection: { case: "featureService", value: featureService },
    entities: [{ name: "device", values: { values: { case: "int64s", value: { values } } } }],
  });
  return Buffer.from(toBinary(GetFeaturesRequestSchema, message));
};
