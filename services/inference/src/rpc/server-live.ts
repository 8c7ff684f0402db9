import type { GRPCInferenceService } from "@millrace/contracts/inference/grpc_service";
import type { Unary } from "@millrace/grpc";

/** Says that the process answers calls. */
export const serverLive = (): Unary<typeof GRPCInferenceService.method.serverLive> => async () => ({ live: true });
