import type { ValueType } from "@millrace/contracts/millrace/feature/v1/column";
import type { CompiledOnDemandView, CompiledRepository, CompiledView } from "./compiled.ts";

/** The name of a feature in answers and training sets. */
export const fullNameOf = (view: string, feature: string): string => `${view}__${feature}`;

/** The stored view of a name: a feature view itself, or the one that a joined view reads. */
export const storedViewOf = (
  { views, joinedViews }: Pick<CompiledRepository, "views" | "joinedViews">,
  name: string,
): CompiledView | undefined => views.get(name) ?? views.get(joinedViews.get(name)?.view ?? "");

/** The features of a view with their types, in the order of the definition. */
export const featureTypes = (view: CompiledView | CompiledOnDemandView): Map<string, ValueType> =>
  new Map(
    ("kind" in view && view.kind === "aggregate" ? view.aggregates : view.features).map(({ name, type }) => [
      name,
      type,
    ]),
  );
