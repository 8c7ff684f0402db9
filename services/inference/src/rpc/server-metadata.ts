import type { GRPCInferenceService } from "@millrace/contracts/inference/grpc_service";
import type { Unary } from "@millrace/grpc";

/** The extensions of the protocol that this service answers however it was started. */
const extensions = [
  "classification",
  "model_repository",
  "schedule_policy",
  "model_configuration",
  "binary_tensor_data",
  "parameters",
  "statistics",
  "trace",
  "logging",
];

/**
 * Names the server, its version and the extensions that it answers; no others are listed.
 * @param withMemory whether system shared memory is on.
 */
export const serverMetadata =
  (version: string, withMemory: boolean): Unary<typeof GRPCInferenceService.method.serverMetadata> =>
  async () => ({
    name: "millrace",
    version,
    extensions: withMemory ? [...extensions, "system_shared_memory"] : extensions,
  });
