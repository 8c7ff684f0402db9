import type { FeatureService } from "@millrace/contracts/millrace/feature/v1/feature_service";
import type { Unary } from "@millrace/grpc";
import type { FeatureServing } from "../feature-serving.ts";

/** The definitions in force. */
export const getRepository =
  ({ catalogue }: FeatureServing): Unary<typeof FeatureService.method.getRepository> =>
  async () =>
    catalogue.definitions().applied;
