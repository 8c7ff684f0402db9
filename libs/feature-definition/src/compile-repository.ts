import { toJson } from "@bufbuild/protobuf";
import {
  type FeatureRepository,
  FeatureRepositorySchema,
} from "@millrace/contracts/millrace/feature/v1/feature_repository";
import { compileJoinedViews } from "./compile-joined-view.ts";
import { compileOnDemandViews } from "./compile-on-demand-view.ts";
import { compileServices } from "./compile-service.ts";
import { compileEntities, compileSources } from "./compile-source.ts";
import { compileViews } from "./compile-view.ts";
import type { CompiledRepository } from "./compiled.ts";
import { DefinitionInvalidError } from "./definition-invalid-error.ts";
import { placeOf } from "./definition-origin.ts";
import { sha256 } from "./digest.ts";
import { Problems } from "./problems.ts";
import { violationsOf } from "./validate-repository.ts";

/**
 * Checks a feature repository as a whole and compiles its expressions.
 * @throws DefinitionInvalidError with all problems at once: names that do not resolve or stand twice, types that do not
 *   fit, expressions that do not compile, windows that are not whole hops.
 */
export const compileRepository = (repository: FeatureRepository): CompiledRepository => {
  const problems = new Problems();
  problems.found.push(...violationsOf(repository));
  if (problems.found.length > 0) throw new DefinitionInvalidError(problems.found);
  refuseDuplicates(repository, problems);
  const entities = compileEntities(repository.entities, problems);
  const sources = compileSources(repository.sources, problems);
  const views = compileViews(repository.featureViews, entities, sources, problems);
  const joinedViews = compileJoinedViews(repository.joinedViews, views, problems);
  const onDemandViews = compileOnDemandViews(repository.onDemandViews, { views, joinedViews }, problems);
  const services = compileServices(repository.featureServices, { views, joinedViews, onDemandViews }, problems);
  if (problems.found.length > 0) throw new DefinitionInvalidError(problems.found);
  return { entities, sources, views, joinedViews, onDemandViews, services, definitionsHash: hashOf(repository) };
};

const refuseDuplicates = (repository: FeatureRepository, problems: Problems): void => {
  const kinds = [
    ["entities", repository.entities],
    ["sources", repository.sources],
    ["featureViews", [...repository.featureViews, ...repository.onDemandViews, ...repository.joinedViews]],
    ["featureServices", repository.featureServices],
  ] as const;
  for (const [kind, definitions] of kinds) {
    const first = new Map<string, string>();
    definitions.forEach((definition, index) => {
      const place = placeOf(definition, `${kind}[${index}]`);
      const earlier = first.get(definition.name);
      if (earlier === undefined) first.set(definition.name, place);
      else
        problems.add(
          `${place}.name`,
          `a name of its own among ${kind}`,
          `${definition.name}, which ${earlier} has too`,
        );
    });
  }
};

/** Independent of the order of files and definitions. */
const hashOf = (repository: FeatureRepository): string => {
  const byName = <T extends { readonly name: string }>(definitions: readonly T[]): T[] =>
    [...definitions].sort((a, b) => (a.name < b.name ? -1 : 1));
  const json = toJson(FeatureRepositorySchema, {
    ...repository,
    entities: byName(repository.entities),
    sources: byName(repository.sources),
    featureViews: byName(repository.featureViews),
    onDemandViews: byName(repository.onDemandViews),
    featureServices: byName(repository.featureServices),
    joinedViews: byName(repository.joinedViews),
  });
  return sha256(JSON.stringify(json, sortedKeys));
};

const sortedKeys = (_: string, value: unknown): unknown =>
  typeof value === "object" && value !== null && !Array.isArray(value)
    ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
    : value;
