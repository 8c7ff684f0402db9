import type { JsonObject } from "@bufbuild/protobuf";
import type { FeastRegistry, FeastSource, FeastView } from "./feast-registry.ts";

/** What was made of a Feast registry. */
export interface Imported {
  /** A feature repository, as YAML has it. */
  readonly repository: JsonObject;
  /** What has no equal here, or is not quite the same: each a sentence that names it. */
  readonly notes: readonly string[];
  /** Python that has to be written as expressions, by the name of its on-demand view. */
  readonly code: ReadonlyMap<string, string>;
}

/** Feast's types that have an equal. INT32 is kept as INT64, which both meet. */
const valueTypes: ReadonlyMap<string, string> = new Map(
  ["BOOL", "INT64", "DOUBLE", "FLOAT", "STRING", "BYTES"]
    .flatMap((type) => [
      [type, type],
      [`${type}_LIST`, `${type}_LIST`],
    ])
    .concat([
      ["INT32", "INT64"],
      ["INT32_LIST", "INT64_LIST"],
      ["UNIX_TIMESTAMP", "TIMESTAMP"],
      ["UNIX_TIMESTAMP_LIST", "TIMESTAMP_LIST"],
      ["UUID", "STRING"],
    ])
    .map(([from = "", to = ""]) => [from, to] as const),
);

/** Aggregations of stream feature views, by Feast's words. */
const functions: ReadonlyMap<string, string> = new Map([
  ["sum", "SUM"],
  ["mean", "MEAN"],
  ["avg", "MEAN"],
  ["count", "COUNT"],
  ["min", "MIN"],
  ["max", "MAX"],
  ["std", "STDDEV"],
  ["var", "VARIANCE"],
  ["count_distinct", "DISTINCT_COUNT"],
]);

/** The key of views without an entity, in Feast's registry. */
const noEntity = "__dummy";

/** Feast refuses no row for its times: nor does what is imported. */
const anyTime = "36500d";

/**
 * Makes a feature repository of a Feast registry: the same names wherever ours allow them, so that a client keeps its
 * references. What has no equal is left out, and said.
 */
export const importRegistry = (registry: FeastRegistry): Imported => {
  const notes: string[] = [];
  const names = new Names(notes);
  const views = [...registry.featureViews, ...registry.streamFeatureViews].map(({ spec }) => spec);
  const kept = views.filter((view) => {
    const reason = whyNot(view);
    if (reason !== undefined) notes.push(`The feature view ${view.name} is left out: ${reason}.`);
    return reason === undefined;
  });
  const entities = new Entities(registry, names, notes);
  const sources = new Sources(names, notes);
  const featureViews = kept.map((view): JsonObject => {
    const source = sources.of(view);
    return {
      name: names.of(view.name, "feature view"),
      entity: entities.of(view),
      source,
      ...texts(view),
      ...(view.online ? {} : { online: false }),
      ...(view.aggregations.length > 0 ? aggregatesOf(view, names, notes) : featuresOf(view, names, notes)),
    };
  });
  for (const { spec } of registry.labelViews) {
    notes.push(
      `The label view ${spec.name} is left out: labels go to monitoring, by prediction id, and to training sets as columns.`,
    );
  }
  const code = new Map<string, string>();
  for (const { spec } of registry.onDemandFeatureViews) {
    const own = spec.featureTransformation?.userDefinedFunction ?? spec.userDefinedFunction;
    code.set(spec.name, own?.bodyText || own?.body || "");
    notes.push(
      `The on-demand view ${spec.name} is Python, which has no equal: write it as expressions; its code stands in the file.`,
    );
  }
  const left = new Map(featureViews.map((view) => [String(view.name), view]));
  const { featureServices, joinedViews } = servicesOf(registry, left, names, notes);
  return {
    repository: {
      entities: entities.all,
      sources: sources.all,
      featureViews,
      ...(joinedViews.length > 0 ? { joinedViews } : {}),
      featureServices,
    },
    notes,
    code,
  };
};

const whyNot = ({ entities, batchSource, streamSource, features, aggregations }: FeastView): string | undefined => {
  if (entities.length === 0 || entities.includes(noEntity)) return "a view without an entity has no equal";
  if ((batchSource ?? streamSource) === undefined) return "it has no source";
  const hasFeature = aggregations.length > 0 || features.some(({ valueType }) => valueTypes.has(valueType));
  return hasFeature ? undefined : "none of its features has a type that is known here";
};

/** Names as ours may be: lower case, letters, digits and underscores. */
class Names {
  readonly #notes: string[];
  readonly #changed = new Set<string>();
  constructor(notes: string[]) {
    this.#notes = notes;
  }

  of(name: string, what: string): string {
    const plain = name.toLowerCase().replace(/[^a-z0-9_]/g, "_");
    const own = (/^[a-z]/.test(plain) ? plain : `x_${plain}`).slice(0, 63);
    if (own !== name && !this.#changed.has(name)) {
      this.#changed.add(name);
      this.#notes.push(
        `The ${what} ${name} is called ${own} here: names are of lower-case letters, digits and underscores.`,
      );
    }
    return own;
  }
}

class Entities {
  readonly all: JsonObject[] = [];
  readonly #registry: FeastRegistry;
  readonly #names: Names;
  readonly #notes: string[];
  readonly #types = new Map<string, string>();
  constructor(registry: FeastRegistry, names: Names, notes: string[]) {
    this.#registry = registry;
    this.#names = names;
    this.#notes = notes;
  }

  /** The entity of a view; of a view with several, one entity with all their keys. */
  of({ name, entities, entityColumns }: FeastView): string {
    const own = this.#names.of(entities.join("_"), "entity");
    if (this.all.some((entity) => entity.name === own)) return own;
    const keys = entities.map((entity): JsonObject => {
      const spec = this.#registry.entities.find((candidate) => candidate.spec.name === entity)?.spec;
      const joinKey = spec?.joinKey || entity;
      const declared = entityColumns.find((column) => column.name === joinKey)?.valueType ?? "";
      const type = valueTypes.get(declared) ?? this.#types.get(joinKey) ?? "STRING";
      if (!valueTypes.has(declared)) {
        this.#notes.push(
          `The key ${joinKey} of the feature view ${name} has no type in the registry: ${type} is assumed.`,
        );
      }
      this.#types.set(joinKey, type);
      return { name: this.#names.of(joinKey, "join key"), type };
    });
    if (entities.length > 1) {
      this.#notes.push(`The feature view ${name} has several entities: ${own} is one entity with all their keys.`);
    }
    this.all.push({ name: own, keys });
    return own;
  }
}

class Sources {
  readonly #byName = new Map<string, JsonObject & { fields: JsonObject[] }>();
  readonly #names: Names;
  readonly #notes: string[];
  constructor(names: Names, notes: string[]) {
    this.#names = names;
    this.#notes = notes;
  }

  get all(): JsonObject[] {
    return [...this.#byName.values()];
  }

  /** The source of a view: its fields grow by what each view reads. A push source gives its name, since clients push to it. */
  of(view: FeastView): string {
    const { streamSource } = view;
    const batch = streamSource?.batchSource ?? view.batchSource;
    const named = streamSource ?? batch;
    if (named === undefined) throw new TypeError(`The feature view ${view.name} has no source.`);
    const name = this.#names.of(named.name, "source");
    let source = this.#byName.get(name);
    if (source === undefined) {
      source = this.#begin(name, named, batch, streamSource);
      this.#byName.set(name, source);
    }
    const mapping = batch?.fieldMapping ?? {};
    const columns = [...view.entityColumns, ...view.features.filter(() => view.aggregations.length === 0)];
    for (const { name: column, valueType } of columns) this.#addField(source, columnOf(mapping, column), valueType);
    for (const { column } of view.aggregations) {
      const type = view.features.find((feature) => feature.name === column)?.valueType ?? "DOUBLE";
      this.#addField(source, column, type);
    }
    return name;
  }

  #begin(name: string, named: FeastSource, batch: FeastSource | undefined, stream: FeastSource | undefined) {
    const eventTime = named.timestampField || batch?.timestampField || "event_timestamp";
    const createdAt = named.createdTimestampColumn || batch?.createdTimestampColumn || "";
    const times = [eventTime, ...(createdAt === "" ? [] : [createdAt])];
    const source: JsonObject & { fields: JsonObject[] } = {
      name,
      fields: times.map((time): JsonObject => ({ name: time, type: "TIMESTAMP" })),
      eventTime,
      ...(createdAt === "" ? {} : { createdAt }),
      allowedLateness: anyTime,
      maxFutureSkew: anyTime,
      ...(named.owner === "" ? {} : { owner: named.owner }),
      ...(named.description === "" ? {} : { description: named.description }),
    };
    const files = this.#filesOf(batch);
    const topic = this.#topicOf(stream);
    if (files !== undefined) source.batch = files;
    // A source has to be somewhere: what could not be taken over is to be filled in.
    if (topic !== undefined || files === undefined) source.stream = topic ?? { topic: name, format: "JSON" };
    return source;
  }

  #filesOf(batch: FeastSource | undefined): JsonObject | undefined {
    if (batch === undefined) return undefined;
    const { name, type, fileOptions } = batch;
    if (type !== "BATCH_FILE" || fileOptions === undefined) {
      this.#notes.push(
        `The data of the source ${name} is ${type || "of no known kind"}, which has no equal: give it as Parquet.`,
      );
      return undefined;
    }
    if (fileOptions.fileFormat?.deltaFormat !== undefined) {
      this.#notes.push(`The data of the source ${name} is a Delta table, which has no equal: give it as Parquet.`);
      return undefined;
    }
    if (/^[a-z0-9]+:\/\//.test(fileOptions.uri)) {
      this.#notes.push(
        `The data of the source ${name} lies at ${fileOptions.uri}: only files below the data root are read.`,
      );
      return undefined;
    }
    return { parquet: fileOptions.uri };
  }

  #topicOf(stream: FeastSource | undefined): JsonObject | undefined {
    if (stream === undefined) return undefined;
    if (stream.type === "PUSH_SOURCE") {
      this.#notes.push(`Pushes to the source ${stream.name} go to a topic of its name.`);
      return { topic: stream.name, format: "JSON" };
    }
    if (stream.type === "STREAM_KAFKA" && stream.kafkaOptions?.messageFormat.jsonFormat !== undefined) {
      return { topic: stream.kafkaOptions.topic, format: "JSON" };
    }
    this.#notes.push(`The stream of the source ${stream.name} is ${stream.type}, not Kafka with JSON: it is not read.`);
    return undefined;
  }

  #addField(source: { fields: JsonObject[]; name?: unknown }, name: string, valueType: string): void {
    const type = valueTypes.get(valueType);
    if (type === undefined || source.fields.some((field) => field.name === name)) return;
    source.fields.push({ name, type });
  }
}

/** The column of the data that a Feast source maps to a name. */
const columnOf = (mapping: Readonly<Record<string, string>>, name: string): string =>
  Object.entries(mapping).find(([, mapped]) => mapped === name)?.[0] ?? name;

const texts = ({ description, owner }: { description: string; owner: string }): JsonObject => ({
  ...(description === "" ? {} : { description }),
  ...(owner === "" ? {} : { owner }),
});

const featuresOf = (view: FeastView, names: Names, notes: string[]): JsonObject => {
  const mapping = (view.streamSource?.batchSource ?? view.batchSource)?.fieldMapping ?? {};
  const features = view.features.flatMap(({ name, valueType, description }): JsonObject[] => {
    const type = valueTypes.get(valueType);
    if (type === undefined) {
      notes.push(`The feature ${view.name}:${name} is left out: ${valueType} has no equal.`);
      return [];
    }
    const own = names.of(name, "feature");
    const column = columnOf(mapping, name);
    return [
      {
        name: own,
        type,
        ...(column === own ? {} : { expression: column }),
        ...(description === "" ? {} : { description }),
      },
    ];
  });
  const seconds = secondsOf(view.ttl);
  return { features, ...(seconds === 0 ? {} : { ttl: `${seconds}s` }) };
};

const aggregatesOf = (view: FeastView, names: Names, notes: string[]): JsonObject => {
  if (view.ttl !== "" && secondsOf(view.ttl) !== 0) {
    notes.push(`The ttl of the stream feature view ${view.name} is left out: its windows say what counts.`);
  }
  const aggregates = view.aggregations.flatMap((aggregation): JsonObject[] => {
    const { column, timeWindow, slideInterval } = aggregation;
    const windowSeconds = secondsOf(timeWindow);
    const name = aggregation.name || `${aggregation.function}_${column}_${windowSeconds}s`;
    const known = functions.get(aggregation.function);
    if (known === undefined || windowSeconds === 0) {
      notes.push(
        `The aggregation ${view.name}:${name} is left out: ${aggregation.function} over ${timeWindow || "no window"} has no equal.`,
      );
      return [];
    }
    const hopSeconds = secondsOf(slideInterval);
    const isWhole = hopSeconds > 0 && windowSeconds % hopSeconds === 0;
    return [
      {
        name: names.of(name, "feature"),
        function: known,
        of: column,
        window: `${windowSeconds}s`,
        ...(isWhole ? { hop: `${hopSeconds}s` } : {}),
      },
    ];
  });
  if (view.mode !== "")
    notes.push(`The transformation of the stream feature view ${view.name} is Python, which has no equal.`);
  return { aggregates };
};

/** Seconds of a protobuf duration, such as `86400s`. */
const secondsOf = (duration: string): number => {
  const seconds = Number(/^(\d+(?:\.\d+)?)s$/.exec(duration)?.[1] ?? 0);
  return Math.round(seconds);
};

const servicesOf = (
  registry: FeastRegistry,
  views: ReadonlyMap<string, JsonObject>,
  names: Names,
  notes: string[],
): { readonly featureServices: JsonObject[]; readonly joinedViews: JsonObject[] } => {
  const joined = new Map<string, JsonObject>();
  const featureServices = registry.featureServices.flatMap(({ spec }): JsonObject[] => {
    const features = spec.features.flatMap(({ featureViewName, featureViewNameAlias, joinKeyMap, featureColumns }) => {
      const name = names.of(featureViewName, "feature view");
      const view = views.get(name);
      if (view === undefined) {
        notes.push(`The feature service ${spec.name} goes without ${featureViewName}, which is left out.`);
        return [];
      }
      const held = [view.features, view.aggregates].flatMap((list) => (Array.isArray(list) ? list : []));
      const known = new Set(held.map((feature) => (feature as JsonObject).name));
      const isJoined = Object.keys(joinKeyMap).length > 0;
      const own = isJoined ? names.of(featureViewNameAlias || `${featureViewName}_joined`, "joined view") : name;
      if (isJoined) joined.set(own, { name: own, view: name, keys: { ...joinKeyMap } });
      return featureColumns
        .map((column) => names.of(column.name, "feature"))
        .filter((feature) => known.has(feature))
        .map((feature) => `${own}.${feature}`);
    });
    if (features.length === 0) {
      notes.push(`The feature service ${spec.name} is left out: nothing of it is left.`);
      return [];
    }
    return [{ name: names.of(spec.name, "feature service"), ...texts(spec), features }];
  });
  return { featureServices, joinedViews: [...joined.values()] };
};
