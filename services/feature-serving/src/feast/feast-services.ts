import { GrpcFeatureServer } from "@millrace/contracts/feast/grpc_server";
import { ServingService } from "@millrace/contracts/feast/serving/ServingService";
import { implement, type ServiceImplementation } from "@millrace/grpc";
import type { FeatureServing } from "../feature-serving.ts";
import { onlineFeatures } from "./online-features.ts";
import { pushToSource, pushToView } from "./push-row.ts";

/** The version of Feast whose contract is answered. */
const feastVersion = "0.67.0";

/** Feast's contracts, over the same definitions and the same store: its Go and Java servers answer one, its Python server the other. */
export const feastServices = (serving: FeatureServing): readonly ServiceImplementation[] => [
  implement(ServingService, {
    getFeastServingInfo: async () => ({ version: feastVersion }),
    getOnlineFeatures: (request, call) => onlineFeatures(serving, request, call.signal),
  }),
  implement(GrpcFeatureServer, {
    getOnlineFeatures: (request, call) => onlineFeatures(serving, request, call.signal),
    push: (request, call) => pushToSource(serving, request, call),
    writeToOnlineStore: (request, call) => pushToView(serving, request, call),
  }),
];
