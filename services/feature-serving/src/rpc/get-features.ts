import type { MessageInitShape } from "@bufbuild/protobuf";
import type {
  FeatureService,
  GetFeaturesRequest,
  GetFeaturesResponseSchema,
} from "@millrace/contracts/millrace/feature/v1/feature_service";
import type { Unary } from "@millrace/grpc";
import type { FeatureServing } from "../feature-serving.ts";
import { readFeatures } from "../read-features.ts";
import { VersionWithoutServiceError } from "../select-service.ts";

/** Reads the features of a service, or of references, for rows of entities, in one round trip to the store. */
export const getFeatures =
  (serving: FeatureServing): Unary<typeof FeatureService.method.getFeatures> =>
  (request, call) =>
    featuresAnswer(serving, request, call.signal);

/** The answer to one request, alone or on a stream. */
export async function featuresAnswer(
  { catalogue, online, nowUs, maxValues, versionReads }: FeatureServing,
  request: GetFeaturesRequest,
  signal: AbortSignal,
): Promise<MessageInitShape<typeof GetFeaturesResponseSchema>> {
  const { selection } = request;
  const { featureServiceVersion } = request;
  const isService = selection.case === "featureService";
  if (!isService && featureServiceVersion !== "") throw new VersionWithoutServiceError(featureServiceVersion);
  const plan = isService
    ? catalogue.servicePlan(selection.value, featureServiceVersion)
    : catalogue.referencesPlan(selection.value?.features ?? []);
  if (isService && featureServiceVersion !== "") versionReads.note(selection.value, featureServiceVersion);
  const { registryVersion, repository } = catalogue.definitions();
  const now = nowUs();
  const features = await readFeatures(plan, request, online, now, maxValues, signal);
  const asOf = `${registryVersion}.${repository.definitionsHash.slice(0, 12)}.${now}`;
  return { features, asOf, featureServiceVersion: isService ? plan.version : "" };
}
