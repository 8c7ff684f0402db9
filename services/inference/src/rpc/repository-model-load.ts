import type { GRPCInferenceService } from "@millrace/contracts/inference/grpc_service";
import { MillraceError, Reason } from "@millrace/errors";
import type { Unary } from "@millrace/grpc";
import { ParameterInvalidError } from "../protocol/infer-parameters.ts";
import type { ModelFolder } from "../serving/model-folder.ts";

/** Loads a model of the folder, or loads it anew where its file has changed, without a failed request. */
export const repositoryModelLoad =
  (folder: ModelFolder | undefined): Unary<typeof GRPCInferenceService.method.repositoryModelLoad> =>
  async ({ modelName, parameters }) => {
    const [parameter] = Object.keys(parameters);
    if (parameter !== undefined) {
      throw new ParameterInvalidError(
        `parameters.${parameter}`,
        "none: a model is read from its folder",
        "a parameter",
      );
    }
    await needFolder(folder).load(modelName);
    return {};
  };

/** @throws MillraceError where models come from a declaration alone, which no call changes. */
export const needFolder = (folder: ModelFolder | undefined): ModelFolder => {
  if (folder === undefined) {
    throw new MillraceError(
      "FAILED_PRECONDITION",
      Reason.UNIMPLEMENTED,
      "This service has no folder of models: what it serves is declared in its deployments file, and changed there.",
    );
  }
  return folder;
};
