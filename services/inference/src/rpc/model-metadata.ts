import type { GRPCInferenceService } from "@millrace/contracts/inference/grpc_service";
import type { Unary } from "@millrace/grpc";
import type { TensorSpec } from "@millrace/tensor";
import type { ModelRoster } from "../serving/model-roster.ts";

/** Names a model's inputs and outputs; its package's digest and where it runs are properties. */
export const modelMetadata =
  (roster: ModelRoster): Unary<typeof GRPCInferenceService.method.modelMetadata> =>
  async ({ name, version }) => {
    const served = roster.find(name, version);
    const properties: Record<string, string> = {
      execution_provider: served.executionProvider.name,
      execution_provider_reason: served.executionProvider.reason,
    };
    if (served.origin.digest !== "") {
      properties.package_digest = served.origin.digest;
      properties.package_repository = served.origin.repository;
    }
    return {
      name,
      versions: roster.versions(name).map(({ version }) => version),
      platform: served.platform,
      inputs: served.inputs.map(tensorMetadata),
      outputs: served.outputs.map(tensorMetadata),
      properties,
    };
  };

const tensorMetadata = ({ name, datatype, shape }: TensorSpec) => ({ name, datatype, shape: shape.map(BigInt) });
