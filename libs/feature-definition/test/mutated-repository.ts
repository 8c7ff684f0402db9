import type { JsonObject, JsonValue } from "@bufbuild/protobuf";

/** A repository with every kind of definition, as JSON. */
export const wholeRepository = (): JsonObject => ({
  entities: [
    { name: "airport", keys: [{ name: "airport", type: "STRING" }] },
    {
      name: "route",
      keys: [
        { name: "airport", type: "STRING" },
        { name: "number", type: "INT64" },
      ],
    },
  ],
  sources: [
    {
      name: "arrivals",
      fields: [
        { name: "airport", type: "STRING" },
        { name: "number", type: "INT64" },
        { name: "delay", type: "DOUBLE", min: -100, max: 2000 },
        { name: "codes", type: "INT64_LIST", length: 3 },
        { name: "arrived_at", type: "TIMESTAMP" },
        { name: "received_at", type: "TIMESTAMP" },
      ],
      derived: [{ name: "is_late", expression: "delay > 15" }],
      eventTime: "arrived_at",
      createdAt: "received_at",
      allowedLateness: "1d",
      completeUpTo: { column: "received_at", lag: "1h" },
      batch: { parquet: "arrivals/*.parquet" },
      stream: { topic: "arrivals", format: "JSON" },
    },
    {
      name: "airports",
      fields: [
        { name: "airport", type: "STRING" },
        { name: "hub", type: "STRING" },
        { name: "gone", type: "BOOL" },
        { name: "at", type: "TIMESTAMP" },
      ],
      eventTime: "at",
      deleted: "gone",
      stream: {
        topic: "airports",
        format: "AVRO",
        schema:
          '{"type":"record","name":"A","fields":[{"name":"airport","type":"string"},{"name":"hub","type":"string"},{"name":"gone","type":"boolean"},{"name":"at","type":"long"}]}',
      },
    },
  ],
  featureViews: [
    {
      name: "delays",
      entity: "airport",
      source: "arrivals",
      where: "is_late AND delay IS NOT NULL",
      aggregates: [
        { name: "mean_1h", function: "MEAN", of: "delay", window: "1h" },
        { name: "count_24h", function: "COUNT", window: "24h", hop: "1h" },
        { name: "last_7d", function: "LAST_N", of: "number", window: "7d", n: 3 },
        { name: "p90_7d", function: "APPROX_PERCENTILE", of: "delay", window: "7d", percentile: 0.9 },
      ],
    },
    { name: "profile", entity: "airport", source: "airports", ttl: "30d", features: [{ name: "hub", type: "STRING" }] },
    { name: "routes", entity: "route", source: "arrivals", features: [{ name: "codes" }] },
  ],
  joinedViews: [{ name: "hub_delays", view: "delays", keys: { airport: "profile.hub" } }],
  onDemandViews: [
    {
      name: "now",
      request: [{ name: "asked_at", type: "TIMESTAMP" }],
      inputs: ["delays.mean_1h"],
      features: [{ name: "hour", type: "INT64", expression: "extract(hour FROM asked_at)" }],
    },
  ],
  featureServices: [{ name: "v1", features: ["delays.*", "profile.hub", "hub_delays.mean_1h", "now.hour"] }],
});

/** Values that stand where others belong. */
const oddValues: readonly JsonValue[] = [
  null,
  "",
  0,
  -1,
  1.7976931348623157e308,
  2 ** 53,
  true,
  [],
  {},
  [[]],
  "airport",
  "__proto__",
  "constructor",
  "toString",
  "'; DROP TABLE entity_rows; --",
  '"',
  "\u0000",
  "\ud800",
  "🦜".repeat(300),
  "delay +",
  "(((((((((((((((((((((((((((((((delay",
  "1/0",
  "(SELECT 1)",
  "read_parquet('/etc/passwd')",
  "9".repeat(400),
  "1h",
  "0s",
  "99999999999999999999d",
  "delays.*",
  "now.hour",
  "hub_delays.mean_1h",
  { name: "x" },
  { case: "sql" },
];

type Random = (limit: number) => number;

/** The repository with some of its values replaced, removed, doubled or moved. @param below a random whole number below a limit. */
export const mutated = (below: Random): JsonValue => {
  const repository = wholeRepository();
  const pick = <T>(values: readonly T[]): T => values[below(values.length)] as T;
  for (let change = 0; change <= below(4); change++) {
    const places = placesOf(repository);
    const [holder, key] = pick(places);
    const [, , donor] = pick(places);
    switch (below(5)) {
      case 0:
        remove(holder, key);
        break;
      case 1:
        put(holder, key, structuredClone(donor));
        break;
      case 2:
        if (Array.isArray(holder)) holder.push(structuredClone(donor));
        else put(holder, pick(["name", "features", "aggregates", "keys", "__proto__", "x"]), structuredClone(donor));
        break;
      default:
        put(holder, key, structuredClone(pick(oddValues)));
    }
  }
  return repository;
};

type Holder = JsonObject | JsonValue[];
type Place = readonly [holder: Holder, key: string | number, value: JsonValue];

/** Every place of a tree that has a value. */
const placesOf = (holder: Holder): Place[] => {
  const own: Place[] = Array.isArray(holder)
    ? holder.map((value, index) => [holder, index, value] as const)
    : Object.entries(holder).map(([name, value]) => [holder, name, value] as const);
  return own.flatMap((place) => {
    const [, , value] = place;
    return typeof value === "object" && value !== null ? [place, ...placesOf(value)] : [place];
  });
};

const put = (holder: Holder, key: string | number, value: JsonValue): void => {
  if (Array.isArray(holder)) holder[Number(key) || 0] = value;
  else Object.defineProperty(holder, key, { value, enumerable: true, configurable: true, writable: true });
};

const remove = (holder: Holder, key: string | number): void => {
  if (Array.isArray(holder)) holder.splice(Number(key) || 0, 1);
  else delete holder[key];
};
