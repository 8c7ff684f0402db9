import type { GetFeaturesRequest } from "@millrace/contracts/millrace/feature/v1/feature_service";
import {
  type CompiledFeatureService,
  type CompiledRepository,
  compileReferences,
  FeatureServiceUnknownError,
} from "@millrace/feature-definition";

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
