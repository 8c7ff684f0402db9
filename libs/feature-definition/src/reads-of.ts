import type { CompiledRepository } from "./compiled.ts";

type Views = Pick<CompiledRepository, "views" | "joinedViews" | "onDemandViews">;

/** A feature that a view reads: of a stored, joined or on-demand view. */
export interface FeatureRead {
  readonly view: string;
  readonly feature: string;
}

/**
 * All features that the given ones need, themselves included, each once and after those that it is made of: the inputs of
 * on-demand views, and the features that give the keys of joined views.
 */
export const readsOf = (features: readonly FeatureRead[], repository: Views): FeatureRead[] => {
  const found = new Map<string, FeatureRead>();
  const visit = ({ view, feature }: FeatureRead): void => {
    const name = `${view}.${feature}`;
    if (found.has(name)) return;
    for (const input of repository.onDemandViews.get(view)?.inputs ?? []) visit(input);
    for (const key of repository.joinedViews.get(view)?.keys ?? []) if (key.kind === "feature") visit(key);
    found.set(name, { view, feature });
  };
  for (const feature of features) visit(feature);
  return [...found.values()];
};
