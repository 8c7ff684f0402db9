import type { JsonObject } from "@bufbuild/protobuf";
import type { FeastRegistry, FeastView } from "./feast-registry.ts";
import { ImportedNames } from "./imported-names.ts";
import { columnOf, ImportedSources } from "./imported-sources.ts";
import { valueTypes } from "./value-types.ts";

/** What was made of a Feast registry. */
export interface Imported {
  /** A feature repository, as YAML has it. */
  readonly repository: JsonObject;
  /** What has no equal here, or is not quite the same: each a sentence that names it. */
  readonly notes: readonly string[];
  /** Python that has to be written as expressions, by the name of its on-demand view. */
  readonly code: ReadonlyMap<string, string>;
}

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

/**
 * Makes a feature repository of a Feast registry: the same names wherever ours allow them, so that a client keeps its
 * references. What has no equal is left out, and said.
 */
export const importRegistry = (registry: FeastRegistry): Imported => {
  const notes: string[] = [];
  const names = new ImportedNames(notes);
  const views = [...registry.featureViews, ...registry.streamFeatureViews].map(({ spec }) => spec);
  const kept = views.filter((view) => {
    const reason = whyNot(view);
    if (reason !== undefined) notes.push(`The feature view ${view.name} is left out: ${reason}.`);
    return reason === undefined;
  });
  const entities = new Entities(registry, names, notes);
  const sources = new ImportedSources(names, notes);
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

class Entities {
  readonly all: JsonObject[] = [];
  readonly #registry: FeastRegistry;
  readonly #names: ImportedNames;
  readonly #notes: string[];
  readonly #types = new Map<string, string>();
  constructor(registry: FeastRegistry, names: ImportedNames, notes: string[]) {
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

const texts = ({ description, owner }: { description: string; owner: string }): JsonObject => ({
  ...(description === "" ? {} : { description }),
  ...(owner === "" ? {} : { owner }),
});

const featuresOf = (view: FeastView, names: ImportedNames, notes: string[]): JsonObject => {
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

const aggregatesOf = (view: FeastView, names: ImportedNames, notes: string[]): JsonObject => {
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
  names: ImportedNames,
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
