import {
  PredictionLog_Acknowledge as Acknowledge,
  type Deployment,
} from "@millrace/contracts/millrace/inference/v1/deployment";
import type { FieldViolation } from "@millrace/errors";
import { defaultPolicy, type PredictPolicy } from "../serving/servable.ts";
import { declaredFeatures } from "./declared-features.ts";
import { declaredPayloads } from "./declared-payloads.ts";

/**
 * What a deployment says of predictions: their features and their logs. A change of it reloads nothing.
 * @param field path of the deployment. @param violations is added to, for every rule that is broken.
 */
export const declaredPolicy = (deployment: Deployment, field: string, violations: FieldViolation[]): PredictPolicy => {
  const { features, predictionLog } = deployment;
  return {
    features: declaredFeatures(features, field, violations),
    deadlineShare: features?.deadlineShare || defaultPolicy.deadlineShare,
    sampling: predictionLog?.sampling ?? defaultPolicy.sampling,
    inferSampling: predictionLog?.inferSampling ?? defaultPolicy.inferSampling,
    acknowledge:
      predictionLog?.acknowledge === Acknowledge.BEFORE_RESPONSE ? "BEFORE_RESPONSE" : defaultPolicy.acknowledge,
    payloads: declaredPayloads(deployment, field, violations),
  };
};
