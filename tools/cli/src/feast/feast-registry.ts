import { z } from "zod";

/*
 * What `feast registry-dump` prints, as far as it is read here: the protobuf JSON of Feast's registry (0.40 and newer).
 * Unknown members are passed over: a newer Feast has more of them.
 */

const column = z.object({
  name: z.string(),
  valueType: z.string().default("INVALID"),
  description: z.string().default(""),
});

const plainSource = z.object({
  name: z.string(),
  type: z.string().default(""),
  timestampField: z.string().default(""),
  createdTimestampColumn: z.string().default(""),
  fieldMapping: z.record(z.string(), z.string()).default({}),
  description: z.string().default(""),
  owner: z.string().default(""),
  fileOptions: z
    .object({ uri: z.string().default(""), fileFormat: z.record(z.string(), z.unknown()).optional() })
    .optional(),
  kafkaOptions: z
    .object({ topic: z.string().default(""), messageFormat: z.record(z.string(), z.unknown()).default({}) })
    .optional(),
});

const source = plainSource.extend({ batchSource: plainSource.optional() });

const view = z.object({
  spec: z.object({
    name: z.string(),
    entities: z.array(z.string()).default([]),
    entityColumns: z.array(column).default([]),
    features: z.array(column).default([]),
    ttl: z.string().default(""),
    online: z.boolean().default(false),
    description: z.string().default(""),
    owner: z.string().default(""),
    batchSource: plainSource.optional(),
    streamSource: source.optional(),
    aggregations: z
      .array(
        z.object({
          column: z.string(),
          function: z.string(),
          timeWindow: z.string().default(""),
          slideInterval: z.string().default(""),
          name: z.string().default(""),
        }),
      )
      .default([]),
    mode: z.string().default(""),
  }),
});

const onDemand = z.object({
  spec: z.object({
    name: z.string(),
    userDefinedFunction: z.object({ bodyText: z.string().default(""), body: z.string().default("") }).optional(),
    featureTransformation: z
      .object({
        userDefinedFunction: z.object({ bodyText: z.string().default(""), body: z.string().default("") }).optional(),
      })
      .optional(),
  }),
});

const service = z.object({
  spec: z.object({
    name: z.string(),
    description: z.string().default(""),
    owner: z.string().default(""),
    features: z
      .array(
        z.object({
          featureViewName: z.string(),
          featureViewNameAlias: z.string().default(""),
          joinKeyMap: z.record(z.string(), z.string()).default({}),
          featureColumns: z.array(column).default([]),
        }),
      )
      .default([]),
  }),
});

export const feastRegistry = z.object({
  project: z.string().default(""),
  entities: z
    .array(
      z.object({
        spec: z.object({ name: z.string(), joinKey: z.string().default(""), description: z.string().default("") }),
      }),
    )
    .default([]),
  featureViews: z.array(view).default([]),
  streamFeatureViews: z.array(view).default([]),
  labelViews: z.array(z.object({ spec: z.object({ name: z.string() }) })).default([]),
  onDemandFeatureViews: z.array(onDemand).default([]),
  featureServices: z.array(service).default([]),
});

export type FeastRegistry = z.output<typeof feastRegistry>;
export type FeastView = FeastRegistry["featureViews"][number]["spec"];
export type FeastSource = z.output<typeof plainSource>;
