import { create } from "@bufbuild/protobuf";
import {
  type FeatureRepository,
  FeatureRepositorySchema,
} from "@millrace/contracts/millrace/feature/v1/feature_repository";

/** What a feature service needs of a repository, and nothing else: it compiles to the same version. */
export function definitionsOfService(repository: FeatureRepository, service: string): FeatureRepository {
  const featureServices = repository.featureServices.filter(({ name }) => name === service);
  const views = featureServices.flatMap(({ features }) => features.map(viewOf));
  return { ...definitionsOfViews(repository, views), featureServices };
}

/** What views of any kind need of a repository, and nothing else. */
export function definitionsOfViews(repository: FeatureRepository, names: readonly string[]): FeatureRepository {
  const needed = namesNeeded(repository, names);
  const featureViews = repository.featureViews.filter(({ name }) => needed.has(name));
  const entities = new Set(featureViews.map(({ entity }) => entity));
  const sources = new Set(featureViews.map(({ source }) => source));
  return create(FeatureRepositorySchema, {
    entities: repository.entities.filter(({ name }) => entities.has(name)),
    sources: repository.sources.filter(({ name }) => sources.has(name)),
    featureViews,
    onDemandViews: repository.onDemandViews.filter(({ name }) => needed.has(name)),
    joinedViews: repository.joinedViews.filter(({ name }) => needed.has(name)),
  });
}

/** Views of any kind with all that they read, themselves included. */
export function namesNeeded(repository: FeatureRepository, names: readonly string[]): Set<string> {
  const reads = readsOf(repository);
  const needed = new Set<string>();
  const waiting = [...names];
  for (let name = waiting.pop(); name !== undefined; name = waiting.pop()) {
    if (needed.has(name)) continue;
    needed.add(name);
    waiting.push(...(reads.get(name) ?? []));
  }
  return needed;
}

/** By on-demand or joined view: the views that it reads itself. */
export function readsOf(repository: FeatureRepository): Map<string, string[]> {
  const reads = new Map<string, string[]>();
  for (const { name, inputs } of repository.onDemandViews) reads.set(name, inputs.map(viewOf));
  for (const { name, view, keys } of repository.joinedViews) {
    const keyed = Object.values(keys).filter((key) => key.includes("."));
    reads.set(name, [view, ...keyed.map(viewOf)]);
  }
  return reads;
}

/** The view of `view.feature`. */
export function viewOf(reference: string): string {
  return reference.slice(0, Math.max(0, reference.indexOf(".")));
}
