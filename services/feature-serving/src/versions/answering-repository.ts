import type { CompiledRepository, CompiledView } from "@millrace/feature-definition";

/**
 * What answers single references while views fill: the applied definitions with older versions of those views. An
 * on-demand view whose expressions, or a joined view whose keys, do not fit the older version is left out: what reads it is answered by the new one.
 * @param before by name, the versions that answer in place of the applied ones.
 */
export function answeringRepository(
  repository: CompiledRepository,
  before: ReadonlyMap<string, CompiledView>,
): CompiledRepository {
  if (before.size === 0) return repository;
  const views = new Map([...repository.views, ...before]);
  const onDemandViews = new Map(repository.onDemandViews);
  const joinedViews = new Map(repository.joinedViews);
  for (const [name, { view, keys }] of joinedViews) {
    const older = before.get(view);
    const fits = keys.every((key, index) => {
      const type = key.kind === "column" ? key.column.type : key.type;
      const source = key.kind === "column" ? undefined : before.get(key.view);
      return (
        (older === undefined || older.entity.keys[index]?.type === type) &&
        (source === undefined || (key.kind === "feature" && typeOf(source, key.feature) === type))
      );
    });
    if (!fits || (older !== undefined && older.entity.keys.length !== keys.length)) joinedViews.delete(name);
  }
  for (let isDone = false; !isDone; ) {
    isDone = true;
    for (const [name, { inputs, request, schema }] of onDemandViews) {
      const fits = inputs.every(({ view, feature }, index) => {
        const wanted = schema[request.length + index]?.type;
        if (repository.onDemandViews.has(view)) return onDemandViews.has(view);
        const joined = joinedViews.get(view);
        if (joined === undefined && repository.joinedViews.has(view)) return false;
        const older = before.get(joined?.view ?? view);
        return older === undefined || typeOf(older, feature) === wanted;
      });
      if (fits) continue;
      onDemandViews.delete(name);
      isDone = false;
    }
  }
  return { ...repository, views, joinedViews, onDemandViews };
}

function typeOf(view: CompiledView, feature: string) {
  const features = view.kind === "aggregate" ? view.aggregates : view.features;
  return features.find(({ name }) => name === feature)?.type;
}
