import type { GRPCInferenceService } from "@millrace/contracts/inference/grpc_service";
import type { Unary } from "@millrace/grpc";

/** Says whether the first load of every model is over, and each model that is served can run. */
export const serverReady =
  (isReady: () => boolean): Unary<typeof GRPCInferenceService.method.serverReady> =>
  async () => ({ ready: isReady() });
