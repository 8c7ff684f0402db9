import type { FeatureServiceDefinition } from "@millrace/contracts/millrace/feature/v1/feature_repository";
import type { CompiledFeatureService, CompiledRepository } from "./compiled.ts";
import { DefinitionInvalidError } from "./definition-invalid-error.ts";
import { placeOf } from "./definition-origin.ts";
import { shortDigest } from "./digest.ts";
import { valueTypeName } from "./expression/expression-type.ts";
import { FeatureUnknownError } from "./feature-unknown-error.ts";
import { Problems } from "./problems.ts";
import { readsOf } from "./reads-of.ts";
import { requiredColumns } from "./required-columns.ts";
import { selectFeatures } from "./select-features.ts";
import { fullNameOf } from "./view-features.ts";

type ServedViews = Pick<CompiledRepository, "views" | "joinedViews" | "onDemandViews">;

/** Compiles feature services: what each serves, and what its callers must send. */
export const compileServices = (
  services: readonly FeatureServiceDefinition[],
  repository: ServedViews,
  problems: Problems,
): Map<string, CompiledFeatureService> => {
  const compiled = new Map<string, CompiledFeatureService>();
  services.forEach((service, index) => {
    const place = placeOf(service, `featureServices[${index}]`);
    const found = compileService(service.name, service.features, repository, place, problems);
    if (found !== undefined) compiled.set(service.name, found);
  });
  return compiled;
};

/**
 * A feature service without a name, for the references of a request (`view.feature` or `view.*`).
 * @throws FeatureUnknownError if a reference names nothing; DefinitionInvalidError if they do not fit together.
 */
export const compileReferences = (
  references: readonly string[],
  repository: CompiledRepository,
): CompiledFeatureService => {
  const problems = new Problems();
  selectFeatures(references, repository).unknown.forEach(({ index, known }) => {
    throw new FeatureUnknownError(`references.features[${index}]`, references[index] ?? "", known);
  });
  const service = compileService("", references, repository, "references", problems);
  if (service === undefined || problems.found.length > 0) throw new DefinitionInvalidError(problems.found);
  return service;
};

const compileService = (
  name: string,
  references: readonly string[],
  repository: ServedViews,
  place: string,
  problems: Problems,
): CompiledFeatureService | undefined => {
  const { features, unknown } = selectFeatures(references, repository);
  for (const { index, known } of unknown) {
    problems.add(
      `${place}.features[${index}]`,
      `\`view.feature\` or \`view.*\`; there are ${known.join(", ") || "none"}`,
      JSON.stringify(references[index]),
    );
  }
  const names = new Set<string>();
  for (const { fullName, view, feature } of features) {
    if (names.has(fullName)) {
      problems.add(`${place}.features`, "each feature once", `${view}.${feature} (${fullName}) a second time`);
    }
    names.add(fullName);
  }
  if (unknown.length > 0) return undefined;
  const required = requiredColumns(features, repository);
  const read = new Map<string, string>();
  for (const { view, feature } of readsOf(features, repository)) {
    const fullName = fullNameOf(view, feature);
    const clashes = [...required.entityKeys, ...required.requestFields].some((column) => column.name === fullName);
    const other = clashes ? "a column that callers send" : read.get(fullName);
    if (other !== undefined) {
      problems.add(`${place}.features`, `one thing named ${fullName}`, `${other}, and the feature ${view}.${feature}`);
    }
    read.set(fullName, `${view}.${feature}`);
  }
  for (const { name: column, types } of required.conflicts) {
    const got = types.map(valueTypeName).join(" and ");
    problems.add(`${place}.features`, `one type for the column ${column} that callers send`, got);
  }
  const versions = [...new Set(features.map(({ view }) => view))].map((view) => [
    view,
    [repository.views, repository.joinedViews, repository.onDemandViews]
      .map((views) => views.get(view)?.version)
      .find((version) => version !== undefined) ?? "",
  ]);
  const schema = features.map(({ fullName, type }) => [fullName, type]);
  return {
    name,
    version: shortDigest({ versions, schema }),
    schemaHash: shortDigest(schema),
    features,
    entityKeys: required.entityKeys,
    requestFields: required.requestFields,
  };
};
