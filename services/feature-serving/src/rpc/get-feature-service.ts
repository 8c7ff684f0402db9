import type { FeatureService } from "@millrace/contracts/millrace/feature/v1/feature_service";
import type { Unary } from "@millrace/grpc";
import type { FeatureServing } from "../feature-serving.ts";
import { featureServiceStatus } from "../served-fields.ts";

/** One feature service with the schema of what it serves. */
export const getFeatureService =
  ({ catalogue }: FeatureServing): Unary<typeof FeatureService.method.getFeatureService> =>
  async (request) => ({ featureService: featureServiceStatus(catalogue.definitions(), request.name, request.version) });
