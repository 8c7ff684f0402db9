import type {
  GetFeaturesRequest,
  GetRepositoryResponse,
} from "@millrace/contracts/millrace/feature/v1/feature_service";
import { MillraceError, Reason } from "@millrace/errors";
import {
  type CompiledFeatureService,
  type CompiledRepository,
  compileReferences,
  FeatureServiceUnknownError,
} from "@millrace/feature-definition";
import type { AppliedDefinitions } from "./applied-definitions.ts";
import { definitionsOfVersion } from "./versions/definitions-of-version.ts";

/** Thrown when a version is given beside single features, which have none. */
export class VersionWithoutServiceError extends MillraceError {
  constructor(version: string) {
    super(
      "INVALID_ARGUMENT",
      Reason.FIELD_INVALID,
      `feature_service_version: expected a version only beside a feature service, got ${version} beside references.`,
      { violations: [{ field: "feature_service_version", expected: "none beside references", got: version }] },
    );
  }
}

/**
 * The feature service that a request names, or one made of its references.
 * @throws FeatureServiceUnknownError, FeatureUnknownError
 */
export function selectService(
  repository: CompiledRepository,
  selection: GetFeaturesRequest["selection"],
): CompiledFeatureService {
  if (selection.case !== "featureService") return compileReferences(selection.value?.features ?? [], repository);
  const service = repository.services.get(selection.value);
  if (service === undefined) throw new FeatureServiceUnknownError(selection.value, [...repository.services.keys()]);
  return service;
}

/**
 * The service that a request selects, of the version that it names, with the definitions that hold for it.
 * @throws VersionWithoutServiceError, FeatureServiceVersionUnknownError, and as selectService.
 */
export function selectVersion(
  current: AppliedDefinitions,
  selection: GetFeaturesRequest["selection"],
  version: string,
): {
  readonly applied: GetRepositoryResponse;
  readonly repository: CompiledRepository;
  readonly service: CompiledFeatureService;
} {
  const { applied, repository } = current;
  if (version === "") return { applied, repository, service: selectService(repository, selection) };
  if (selection.case !== "featureService") throw new VersionWithoutServiceError(version);
  const { declared, compiled } = definitionsOfVersion(current, selection.value, version);
  const { definitionsHash } = compiled;
  return {
    applied: { ...applied, repository: declared, definitionsHash },
    repository: compiled,
    service: { ...selectService(compiled, selection), version },
  };
}
