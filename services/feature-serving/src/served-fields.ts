import type { MessageInitShape } from "@bufbuild/protobuf";
import { AggregateFunction } from "@millrace/contracts/millrace/feature/v1/feature_repository";
import type {
  FeatureServiceStatusSchema,
  ServedFieldSchema,
} from "@millrace/contracts/millrace/feature/v1/feature_service";
import {
  type CompiledFeatureService,
  type CompiledField,
  type CompiledView,
  FeatureServiceUnknownError,
  storedViewOf,
} from "@millrace/feature-definition";
import type { AppliedDefinitions, LoadedDefinitions } from "./applied-definitions.ts";
import { definitionsOfVersion } from "./versions/definitions-of-version.ts";

type ServedField = MessageInitShape<typeof ServedFieldSchema>;

/** The schema of what a feature service serves. @throws FeatureServiceUnknownError */
export function featureServiceStatus(
  definitions: AppliedDefinitions,
  name: string,
  version = "",
): MessageInitShape<typeof FeatureServiceStatusSchema> {
  const loaded = definitionsOfVersion(definitions, name, version);
  const service: CompiledFeatureService | undefined = loaded.compiled.services.get(name);
  if (service === undefined) throw new FeatureServiceUnknownError(name, [...loaded.compiled.services.keys()]);
  return {
    name,
    version: version || service.version,
    schemaHash: service.schemaHash,
    features: service.features.map(({ view, feature }) => servedField(loaded, view, feature)),
    entityKeys: service.entityKeys.map(fieldOf),
    requestFields: service.requestFields.map(fieldOf),
  };
}

/** One feature as it is served: its type, where it comes from, whom to tell, and which range its data should keep. */
export function servedField(
  { declared: definitions, compiled: repository }: LoadedDefinitions,
  viewName: string,
  featureName: string,
): ServedField {
  const name = `${viewName}__${featureName}`;
  const view = storedViewOf(repository, viewName);
  if (view === undefined) {
    const feature = repository.onDemandViews.get(viewName)?.features.find((known) => known.name === featureName);
    const declared = definitions.onDemandViews.find((known) => known.name === viewName);
    const description = declared?.features.find((known) => known.name === featureName)?.description ?? "";
    return { name, type: feature?.type ?? 0, featureView: viewName, source: "", owner: "", description };
  }
  const declared = definitions.featureViews.find((known) => known.name === view.name);
  const described = [...(declared?.aggregates ?? []), ...(declared?.features ?? [])];
  const range = rangeOf(view, featureName);
  return {
    name,
    type: typeOf(view, featureName),
    featureView: viewName,
    source: view.source.name,
    owner: view.source.owner || view.owner,
    description: described.find((known) => known.name === featureName)?.description ?? "",
    ...(range?.min === undefined ? {} : { min: range.min }),
    ...(range?.max === undefined ? {} : { max: range.max }),
    neverNull: isCount(view, featureName),
  };
}

/** Whether a feature is never null: a COUNT of nothing is 0. */
export const isCount = (view: CompiledView, feature: string): boolean =>
  view.kind === "aggregate" &&
  view.aggregates.some(({ name, function: fn }) => name === feature && fn === AggregateFunction.COUNT);

/** The names of a view's features, in order. */
export function featureNames(view: CompiledView): string[] {
  return (view.kind === "aggregate" ? view.aggregates : view.features).map(({ name }) => name);
}

function typeOf(view: CompiledView, feature: string) {
  const features = view.kind === "aggregate" ? view.aggregates : view.features;
  return features.find(({ name }) => name === feature)?.type ?? 0;
}

/** The declared range of the column that a feature is, or is some value, least, greatest or mean of. */
function rangeOf(view: CompiledView, featureName: string): CompiledField | undefined {
  let column: string | undefined;
  if (view.kind === "latestRow") {
    column = view.features.find(({ name }) => name === featureName)?.expression.text;
  } else {
    const aggregate = view.aggregates.find(({ name }) => name === featureName);
    if (aggregate !== undefined && keepsRange.has(aggregate.function)) column = aggregate.of?.text;
  }
  return view.source.fields.find(({ name }) => name === column?.trim());
}

const keepsRange: ReadonlySet<AggregateFunction> = new Set([
  AggregateFunction.MEAN,
  AggregateFunction.MIN,
  AggregateFunction.MAX,
  AggregateFunction.LAST,
  AggregateFunction.FIRST,
]);

function fieldOf({ name, type, min, max }: CompiledField) {
  return { name, type, ...(min === undefined ? {} : { min }), ...(max === undefined ? {} : { max }) };
}
