import type { FeatureService } from "@millrace/contracts/millrace/feature/v1/feature_service";
import type { Unary } from "@millrace/grpc";
import type { FeatureServing } from "../feature-serving.ts";
import { readFeatures } from "../read-features.ts";

/** Reads the features of a service, or of references, for rows of entities, in one round trip to the store. */
export const getFeatures =
  ({ catalogue, online, nowUs, maxValues }: FeatureServing): Unary<typeof FeatureService.method.getFeatures> =>
  async (request, call) => {
    const { selection } = request;
    const plan =
      selection.case === "featureService"
        ? catalogue.servicePlan(selection.value)
        : catalogue.referencesPlan(selection.value?.features ?? []);
    const now = nowUs();
    const features = await readFeatures(plan, request, online, now, maxValues, call.signal);
    const { registryVersion, repository } = catalogue.definitions();
    const asOf = `${registryVersion}.${repository.definitionsHash.slice(0, 12)}.${now}`;
    return { features, asOf, featureServiceVersion: selection.case === "featureService" ? plan.version : "" };
  };
