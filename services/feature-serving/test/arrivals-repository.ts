import { fromJson } from "@bufbuild/protobuf";
import { FeatureRepositorySchema } from "@millrace/contracts/millrace/feature/v1/feature_repository";

/** Arrivals at airports: windows, a latest row, an on-demand view, over one source. */
export function arrivalsRepository(
  change: {
    readonly window?: string;
    readonly parquet?: string;
    readonly topic?: string;
    readonly lag?: string;
    readonly sql?: string;
  } = {},
) {
  return fromJson(FeatureRepositorySchema, {
    entities: [
      { name: "airport", keys: [{ name: "airport", type: "STRING" }] },
      { name: "carrier", keys: [{ name: "carrier", type: "INT64" }] },
    ],
    sources: [
      {
        name: "arrivals",
        fields: [
          { name: "airport", type: "STRING" },
          { name: "carrier", type: "INT64" },
          { name: "delay", type: "DOUBLE", min: -100, max: 2000 },
          { name: "arrived_at", type: "TIMESTAMP" },
          { name: "received_at", type: "TIMESTAMP" },
        ],
        eventTime: "arrived_at",
        createdAt: "received_at",
        owner: "ops@example.org",
        ...(change.lag === undefined ? {} : { completeUpTo: { column: "received_at", lag: change.lag } }),
        stream: { topic: change.topic ?? "arrivals", format: "JSON" },
        ...(change.parquet === undefined ? {} : { batch: { parquet: change.parquet } }),
        ...(change.sql === undefined ? {} : { batch: { sql: { connection: "warehouse", query: change.sql } } }),
      },
    ],
    featureViews: [
      {
        name: "airport_delays",
        entity: "airport",
        source: "arrivals",
        where: "delay IS NOT NULL",
        aggregates: [
          { name: "mean_delay_1h", function: "MEAN", of: "delay", window: change.window ?? "1h" },
          { name: "arrivals_24h", function: "COUNT", window: "24h" },
          { name: "last_delay_24h", function: "LAST", of: "delay", window: "24h" },
        ],
      },
      {
        name: "carrier_delays",
        entity: "carrier",
        source: "arrivals",
        aggregates: [
          { name: "max_delay_7d", function: "MAX", of: "delay", window: "7d" },
          { name: "total_7d", function: "SUM", of: "delay", window: "7d" },
        ],
      },
      {
        name: "airport_latest",
        entity: "airport",
        source: "arrivals",
        ttl: "2h",
        features: [{ name: "delay", type: "DOUBLE" }],
      },
    ],
    onDemandViews: [
      {
        name: "schedule",
        request: [{ name: "scheduled_at", type: "TIMESTAMP" }],
        inputs: ["airport_delays.mean_delay_1h"],
        features: [
          { name: "hour", type: "INT64", expression: "extract(hour FROM scheduled_at)" },
          { name: "is_slow", type: "BOOL", expression: "airport_delays__mean_delay_1h > 10" },
        ],
      },
    ],
    featureServices: [
      {
        name: "delay_v1",
        features: [
          "airport_delays.*",
          "carrier_delays.max_delay_7d",
          "carrier_delays.total_7d",
          "airport_latest.delay",
          "schedule.*",
        ],
      },
    ],
  });
}

export interface Arrival {
  readonly airport: string | null;
  readonly carrier: bigint | null;
  readonly delay: number | null;
  readonly arrivedAtUs: bigint;
  readonly receivedAtUs: bigint;
}

/** The columns of a Push. */
export function arrivalColumns(arrivals: readonly Arrival[]) {
  const nulls = (isNull: (arrival: Arrival) => boolean) => Uint8Array.from(arrivals, (a) => (isNull(a) ? 1 : 0));
  return [
    {
      name: "airport",
      values: { values: { case: "strings" as const, value: { values: arrivals.map((a) => a.airport ?? "") } } },
      nulls: nulls((a) => a.airport === null),
    },
    {
      name: "carrier",
      values: { values: { case: "int64s" as const, value: { values: arrivals.map((a) => a.carrier ?? 0n) } } },
      nulls: nulls((a) => a.carrier === null),
    },
    {
      name: "delay",
      values: { values: { case: "doubles" as const, value: { values: arrivals.map((a) => a.delay ?? 0) } } },
      nulls: nulls((a) => a.delay === null),
    },
    {
      name: "arrived_at",
      values: { values: { case: "timestamps" as const, value: { valuesUs: arrivals.map((a) => a.arrivedAtUs) } } },
    },
    {
      name: "received_at",
      values: { values: { case: "timestamps" as const, value: { valuesUs: arrivals.map((a) => a.receivedAtUs) } } },
    },
  ];
}
