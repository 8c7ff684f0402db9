import type { CompiledRepository, ServiceFeature } from "./compiled.ts";
import { featureTypes, fullNameOf, storedViewOf } from "./view-features.ts";

export interface SelectedFeatures {
  /** In the order of the references; those of `view.*` in the order of the view. */
  readonly features: readonly ServiceFeature[];
  /** References that name nothing, with what they could have named. */
  readonly unknown: readonly { readonly index: number; readonly known: readonly string[] }[];
}

/** Resolves references of the form `view.feature` or `view.*`. */
export const selectFeatures = (
  references: readonly string[],
  repository: Pick<CompiledRepository, "views" | "joinedViews" | "onDemandViews">,
): SelectedFeatures => {
  const features: ServiceFeature[] = [];
  const unknown: { index: number; known: readonly string[] }[] = [];
  references.forEach((reference, index) => {
    const [viewName = "", wanted, ...more] = reference.split(".");
    const onDemand = repository.onDemandViews.get(viewName);
    const view = storedViewOf(repository, viewName) ?? onDemand;
    if (view === undefined || wanted === undefined || more.length > 0) {
      const { views: stored, joinedViews, onDemandViews } = repository;
      const views = [...stored.keys(), ...joinedViews.keys(), ...onDemandViews.keys()];
      unknown.push({ index, known: views.map((name) => `${name}.*`) });
      return;
    }
    const types = featureTypes(view);
    const chosen = wanted === "*" ? [...types.keys()] : [wanted];
    for (const feature of chosen) {
      const type = types.get(feature);
      if (type === undefined) {
        unknown.push({ index, known: [...types.keys()].map((name) => `${viewName}.${name}`) });
        continue;
      }
      const fullName = fullNameOf(viewName, feature);
      features.push({ fullName, view: viewName, feature, type, onDemand: onDemand !== undefined });
    }
  });
  return { features, unknown };
};
