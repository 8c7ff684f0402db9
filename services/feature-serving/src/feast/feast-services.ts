import { GrpcFeatureServer } from "@millrace/contracts/feast/grpc_server";
import type { GetOnlineFeaturesRequest } from "@millrace/contracts/feast/serving/ServingService";
import { ServingService } from "@millrace/contracts/feast/serving/ServingService";
import type { Value } from "@millrace/contracts/feast/types/Value";
import { type CallContext, EncodedMessage, implement, type ServiceImplementation } from "@millrace/grpc";
import type { FeatureServing } from "../feature-serving.ts";
import { encodeOnlineFeatures } from "./encode-online-features.ts";
import { scalarOfFeast } from "./feast-values.ts";
import { type OnlineQuestion, onlineFeatures } from "./online-features.ts";
import { pushToSource, pushToView } from "./push-row.ts";

/** The version of Feast whose contract is answered. */
const feastVersion = "0.67.0";

/** Feast's contracts, over the same definitions and the same store: its Go and Java servers answer one, its Python server the other. */
export const feastServices = (serving: FeatureServing): readonly ServiceImplementation[] => {
  const getOnlineFeatures = async (request: GetOnlineFeaturesRequest, call: CallContext) =>
    new EncodedMessage(encodeOnlineFeatures(await onlineFeatures(serving, questionOf(request), call.signal)));
  return [
    implement(ServingService, {
      getFeastServingInfo: async () => ({ version: feastVersion }),
      getOnlineFeatures,
    }),
    implement(GrpcFeatureServer, {
      getOnlineFeatures,
      push: (request, call) => pushToSource(serving, request, call),
      writeToOnlineStore: (request, call) => pushToView(serving, request, call),
    }),
  ];
};

const questionOf = ({
  kind,
  entities,
  requestContext,
  fullFeatureNames,
}: GetOnlineFeaturesRequest): OnlineQuestion<Value> => ({
  featureService: kind.case === "featureService" ? kind.value : undefined,
  features: kind.case === "features" ? kind.value.val : [],
  given: Object.fromEntries(Object.entries({ ...requestContext, ...entities }).map(([name, { val }]) => [name, val])),
  scalarOf: scalarOfFeast,
  fullFeatureNames,
});
