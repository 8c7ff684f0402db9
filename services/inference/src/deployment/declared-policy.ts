import {
  PredictionLog_Acknowledge as Acknowledge,
  type Deployment,
  FeaturePolicy_OnMissing as OnMissing,
} from "@millrace/contracts/millrace/inference/v1/deployment";
import { defaultPolicy, type PredictPolicy } from "../serving/servable.ts";

/** What a deployment says of predictions: their features and their log. A change of it reloads nothing. */
export const declaredPolicy = ({ features, predictionLog }: Deployment): PredictPolicy => ({
  onMissing: features?.onMissing === OnMissing.REFUSE ? "REFUSE" : defaultPolicy.onMissing,
  deadlineShare: features?.deadlineShare || defaultPolicy.deadlineShare,
  sampling: predictionLog?.sampling ?? defaultPolicy.sampling,
  acknowledge:
    predictionLog?.acknowledge === Acknowledge.BEFORE_RESPONSE ? "BEFORE_RESPONSE" : defaultPolicy.acknowledge,
});
