import type { GRPCInferenceService } from "@millrace/contracts/inference/grpc_service";
import type { Unary } from "@millrace/grpc";

/** The extensions of the protocol that this service answers; no others are listed. */
const extensions = ["model_repository", "model_configuration", "binary_tensor_data", "parameters", "statistics"];

/** Names the server, its version and its extensions. */
export const serverMetadata =
  (version: string): Unary<typeof GRPCInferenceService.method.serverMetadata> =>
  async () => ({ name: "millrace", version, extensions });
