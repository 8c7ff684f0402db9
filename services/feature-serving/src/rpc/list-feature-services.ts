import type { FeatureService } from "@millrace/contracts/millrace/feature/v1/feature_service";
import type { Unary } from "@millrace/grpc";
import type { FeatureServing } from "../feature-serving.ts";
import { featureServiceStatus } from "../served-fields.ts";

/** All feature services that are applied. */
export const listFeatureServices =
  ({ catalogue }: FeatureServing): Unary<typeof FeatureService.method.listFeatureServices> =>
  async () => {
    const definitions = catalogue.current;
    if (definitions === undefined) return { featureServices: [] };
    const names = [...definitions.repository.services.keys()];
    return { featureServices: names.map((name) => featureServiceStatus(definitions, name)) };
  };
