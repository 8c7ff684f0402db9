import type { CompiledRepository, CompiledView } from "@millrace/feature-definition";

/**
 * What answers single references while views fill: the applied definitions with older versions of those views. An
 * on-demand view whose expressions do not fit the older version is left out: what reads it is answered by the new one.
 * @param before by name, the versions that answer in place of the applied ones.
 */
export function answeringRepository(
  repository: CompiledRepository,
  before: ReadonlyMap<string, CompiledView>,
): CompiledRepository {
  if (before.size === 0) return repository;
  const views = new Map([...repository.views, ...before]);
  const onDemandViews = new Map(repository.onDemandViews);
  for (let isDone = false; !isDone; ) {
    isDone = true;
    for (const [name, { inputs, request, schema }] of onDemandViews) {
      const fits = inputs.every(({ view, feature }, index) => {
        const wanted = schema[request.length + index]?.type;
        if (repository.onDemandViews.has(view)) return onDemandViews.has(view);
        const older = before.get(view);
        return older === undefined || typeOf(older, feature) === wanted;
      });
      if (fits) continue;
      onDemandViews.delete(name);
      isDone = false;
    }
  }
  return { ...repository, views, onDemandViews };
}

function typeOf(view: CompiledView, feature: string) {
  const features = view.kind === "aggregate" ? view.aggregates : view.features;
  return features.find(({ name }) => name === feature)?.type;
}
