import type { GRPCInferenceService } from "@millrace/contracts/inference/grpc_service";
import type { Unary } from "@millrace/grpc";
import type { ModelFolder } from "../serving/model-folder.ts";
import { needFolder } from "./repository-model-load.ts";

/** Takes a model of the folder out of service. Requests that it has taken are answered; the call waits for them. */
export const repositoryModelUnload =
  (folder: ModelFolder | undefined): Unary<typeof GRPCInferenceService.method.repositoryModelUnload> =>
  async ({ modelName }) => {
    await needFolder(folder).unload(modelName);
    return {};
  };
