import type { ValueType } from "@millrace/contracts/millrace/feature/v1/column";
import type { CompiledField, CompiledRepository, ServiceFeature } from "./compiled.ts";
import { readsOf } from "./reads-of.ts";

export interface RequiredColumns {
  readonly entityKeys: readonly CompiledField[];
  readonly requestFields: readonly CompiledField[];
  /** Names that are asked for with more than one type. */
  readonly conflicts: readonly { readonly name: string; readonly types: readonly ValueType[] }[];
}

/** The entity keys and request fields that the features need, each once; also those behind on-demand and joined views. */
export const requiredColumns = (
  features: readonly ServiceFeature[],
  repository: Pick<CompiledRepository, "views" | "joinedViews" | "onDemandViews">,
): RequiredColumns => {
  const entityKeys = new Map<string, CompiledField>();
  const requestFields = new Map<string, CompiledField>();
  const types = new Map<string, Set<ValueType>>();
  const require = (into: Map<string, CompiledField>, field: CompiledField): void => {
    if (!into.has(field.name)) into.set(field.name, field);
    types.set(field.name, (types.get(field.name) ?? new Set()).add(field.type));
  };
  for (const name of new Set(readsOf(features, repository).map(({ view }) => view))) {
    for (const field of repository.onDemandViews.get(name)?.request ?? []) require(requestFields, field);
    for (const key of repository.joinedViews.get(name)?.keys ?? []) {
      if (key.kind === "column") require(entityKeys, key.column);
    }
    for (const key of repository.views.get(name)?.entity.keys ?? []) require(entityKeys, key);
  }
  for (const name of entityKeys.keys()) requestFields.delete(name);
  return {
    entityKeys: [...entityKeys.values()],
    requestFields: [...requestFields.values()],
    conflicts: [...types].filter(([, found]) => found.size > 1).map(([name, found]) => ({ name, types: [...found] })),
  };
};
