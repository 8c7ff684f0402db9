import type { ValueType } from "@millrace/contracts/millrace/feature/v1/column";
import { MillraceError, Reason } from "@millrace/errors";
import {
  type CompiledFeatureService,
  type CompiledField,
  type CompiledOnDemandView,
  type CompiledRepository,
  FeatureUnknownError,
  type OnDemandFeature,
  storedViewOf,
} from "@millrace/feature-definition";
import { createViewStream, rowKeyOf, type ViewStream } from "@millrace/feature-definition/stream";

/** Thrown when a view is asked for that is not kept online. */
export class ViewOfflineError extends MillraceError {
  constructor(view: string) {
    super(
      "FAILED_PRECONDITION",
      Reason.FEATURE_UNKNOWN,
      `${view} is declared with online: false: it is only known to GetTrainingSet.`,
      { resource: { kind: "feature view", name: view } },
    );
  }
}

/** Where a value comes from: the feature of a view's row, or of an on-demand view. */
export interface ValuePlace {
  readonly onDemand: boolean;
  readonly index: number;
  readonly feature: number;
}

export interface PlannedView {
  readonly stream: ViewStream;
  /** By feature of the view: whether anything of the plan reads it. */
  readonly isRead: readonly boolean[];
  readonly rowKey: (entityKey: Uint8Array) => Uint8Array;
  /** By entity key of the view: the index of the request's column. */
  readonly keyColumns: readonly number[];
  /** The same for views whose keys come from the same columns in the same form: their keys are made once. */
  readonly keyGroup: string;
  /**
   * Of a view that is joined by a feature: by entity key, the value that gives it, undefined where a column does. Such a
   * view is read in a second round trip.
   */
  readonly keyPlaces: readonly (ValuePlace | undefined)[] | undefined;
}

export interface PlannedOnDemandView {
  readonly features: readonly OnDemandFeature[];
  /** By column of the expressions' schema: a column of the request (entity keys come first), or another value. */
  readonly inputs: readonly (number | ValuePlace)[];
}

/** How a selection of features is read: made once, when it is applied, so that a request touches no definition. */
export interface FeaturePlan {
  readonly outputs: readonly { readonly name: string; readonly type: ValueType; readonly place: ValuePlace }[];
  readonly views: readonly PlannedView[];
  /** In the order of their evaluation. */
  readonly onDemandViews: readonly PlannedOnDemandView[];
  /** The columns that a request must bring. */
  readonly entityKeys: readonly CompiledField[];
  readonly requestFields: readonly CompiledField[];
  /** Of the feature service. */
  readonly version: string;
}

/** Streams by view version, shared by all plans of a repository. */
export type ViewStreams = Map<string, ViewStream>;

/**
 * Plans the reading of a feature service, or of one that is made of references.
 * @param field where the features are named in the request, for errors. @throws FeatureUnknownError, ViewOfflineError
 */
export function planFeatures(
  repository: CompiledRepository,
  streams: ViewStreams,
  service: CompiledFeatureService,
  field: string,
): FeaturePlan {
  const { entityKeys, requestFields } = service;
  const views: PlannedView[] = [];
  const reads: boolean[][] = [];
  const viewIndex = new Map<string, number>();
  const onDemandViews: PlannedOnDemandView[] = [];
  const onDemandIndex = new Map<string, number>();
  const columns = [...entityKeys, ...requestFields].map(({ name }) => name);

  const placeInView = (name: string, feature: string): ValuePlace | undefined => {
    const view = storedViewOf(repository, name);
    if (view === undefined) return undefined;
    if (!view.online) throw new ViewOfflineError(view.name);
    let index = viewIndex.get(name);
    if (index === undefined) {
      const stream = streams.get(`${view.name}@${view.version}`) ?? createViewStream(view);
      streams.set(`${view.name}@${view.version}`, stream);
      const joinKeys = repository.joinedViews.get(name)?.keys;
      const keyColumns = view.entity.keys.map((key, at) => {
        const joinKey = joinKeys?.[at];
        return columns.indexOf(joinKey?.kind === "column" ? joinKey.column.name : key.name);
      });
      const keyPlaces = joinKeys?.some(({ kind }) => kind === "feature")
        ? joinKeys.map((key) => (key.kind === "feature" ? place(key.view, key.feature) : undefined))
        : undefined;
      const isRead = stream.features.map(() => false);
      reads.push(isRead);
      const keyGroup = `${keyPlaces === undefined ? view.entity.name : name} ${keyColumns.join()}`;
      index = views.push({ stream, isRead, rowKey: rowKeyOf(view), keyColumns, keyGroup, keyPlaces }) - 1;
      viewIndex.set(name, index);
    }
    const position = views[index]?.stream.features.findIndex((known) => known.name === feature) ?? -1;
    if (position < 0) return undefined;
    const isRead = reads[index];
    if (isRead !== undefined) isRead[position] = true;
    return { onDemand: false, index, feature: position };
  };

  const placeOnDemand = (name: string, feature: string): ValuePlace | undefined => {
    const view = repository.onDemandViews.get(name);
    if (view === undefined) return undefined;
    const index = onDemandIndex.get(name) ?? addOnDemand(view);
    const position = view.features.findIndex((known) => known.name === feature);
    return position < 0 ? undefined : { onDemand: true, index, feature: position };
  };

  const addOnDemand = (view: CompiledOnDemandView): number => {
    const request = view.request.map((wanted) => columns.indexOf(wanted.name));
    const inputs = view.inputs.map((input) => place(input.view, input.feature));
    const index = onDemandViews.push({ features: view.features, inputs: [...request, ...inputs] }) - 1;
    onDemandIndex.set(view.name, index);
    return index;
  };

  const place = (view: string, feature: string): ValuePlace => {
    const found = placeInView(view, feature) ?? placeOnDemand(view, feature);
    if (found === undefined)
      throw new FeatureUnknownError(field, `${view}.${feature}`, knownFeatures(repository, view));
    return found;
  };

  const outputs = service.features.map(({ view, feature }) => {
    const found = place(view, feature);
    const type = found.onDemand
      ? onDemandViews[found.index]?.features[found.feature]?.type
      : views[found.index]?.stream.features[found.feature]?.type;
    if (type === undefined) throw new FeatureUnknownError(field, `${view}.${feature}`, knownFeatures(repository, view));
    return { name: `${view}__${feature}`, type, place: found };
  });
  return { outputs, views, onDemandViews, entityKeys, requestFields, version: service.version };
}

function featuresOf(repository: CompiledRepository, name: string): string[] {
  const view = storedViewOf(repository, name);
  if (view?.kind === "aggregate") return view.aggregates.map((aggregate) => aggregate.name);
  const features = view?.features ?? repository.onDemandViews.get(name)?.features ?? [];
  return features.map((feature) => feature.name);
}

function knownFeatures(repository: CompiledRepository, view: string): string[] {
  const features = featuresOf(repository, view);
  if (features.length > 0) return features.map((feature) => `${view}.${feature}`);
  const { views, joinedViews, onDemandViews } = repository;
  return [...views.keys(), ...joinedViews.keys(), ...onDemandViews.keys()].map((name) => `${name}.*`);
}
