import {
  type FeatureService,
  type GetFeaturesRequest,
  GetFeaturesRequest_PartialAnswer,
} from "@millrace/contracts/millrace/feature/v1/feature_service";
import { EncodedMessage, type Unary } from "@millrace/grpc";
import { encodeFeatures } from "../encode-features.ts";
import type { FeaturePlan } from "../feature-plan.ts";
import type { FeatureServing } from "../feature-serving.ts";
import { emptyStore, isStoreAway, readSignal, withoutStore } from "../partial-answer.ts";
import { type FeaturesAnswer, readFeatures } from "../read-features.ts";
import { VersionWithoutServiceError } from "../select-service.ts";

/** Reads the features of a service, or of references, for rows of entities, in one round trip to the store. */
export const getFeatures =
  (serving: FeatureServing): Unary<typeof FeatureService.method.getFeatures> =>
  async (request, call) =>
    new EncodedMessage(encodeFeatures(await featuresAnswer(serving, request, call.signal, call.deadlineMs)));

/**
 * The answer to one request, alone or on a stream.
 * @param deadlineMs when the caller stops waiting, in epoch ms: a partial answer comes before.
 */
export async function featuresAnswer(
  serving: FeatureServing,
  request: GetFeaturesRequest,
  signal: AbortSignal,
  deadlineMs?: number,
): Promise<FeaturesAnswer> {
  const { catalogue, nowUs, versionReads } = serving;
  const { selection, featureServiceVersion } = request;
  const isService = selection.case === "featureService";
  if (!isService && featureServiceVersion !== "") throw new VersionWithoutServiceError(featureServiceVersion);
  const plan = isService
    ? catalogue.servicePlan(selection.value, featureServiceVersion)
    : catalogue.referencesPlan(selection.value?.features ?? []);
  if (isService && featureServiceVersion !== "") versionReads.note(selection.value, featureServiceVersion);
  const { registryVersion, repository } = catalogue.definitions();
  const now = nowUs();
  const features = await columnsOf(serving, plan, request, now, signal, deadlineMs);
  const asOf = `${registryVersion}.${repository.definitionsHash.slice(0, 12)}.${now}`;
  const { withEventTimes } = request;
  return { features, asOf, featureServiceVersion: isService ? plan.version : "", withEventTimes };
}

const columnsOf = async (
  { rowCache, maxValues }: FeatureServing,
  plan: FeaturePlan,
  request: GetFeaturesRequest,
  now: number,
  signal: AbortSignal,
  deadlineMs: number | undefined,
) => {
  const rows = rowCache.reader(request.maxStalenessMs);
  if (request.partialAnswer !== GetFeaturesRequest_PartialAnswer.PARTIAL_ALLOWED) {
    return readFeatures(plan, request, rows, now, maxValues, signal);
  }
  const read = readSignal(signal, deadlineMs);
  try {
    return await readFeatures(plan, request, rows, now, maxValues, read);
  } catch (error) {
    if (signal.aborted || !isStoreAway(error, read)) throw error;
    return withoutStore(plan, await readFeatures(plan, request, emptyStore, now, maxValues, signal));
  }
};
