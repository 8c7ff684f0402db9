import type { GRPCInferenceService } from "@millrace/contracts/inference/grpc_service";
import type { Unary } from "@millrace/grpc";
import type { ModelRoster } from "../serving/model-roster.ts";
import { ModelNotReadyError } from "../serving/serving-errors.ts";

/** Says whether a model can run now. A model that is not known is NOT_FOUND, and not merely unready. */
export const modelReady =
  (roster: ModelRoster): Unary<typeof GRPCInferenceService.method.modelReady> =>
  async ({ name, version }) => {
    try {
      roster.find(name, version);
      return { ready: true };
    } catch (error) {
      if (error instanceof ModelNotReadyError) return { ready: false };
      throw error;
    }
  };
