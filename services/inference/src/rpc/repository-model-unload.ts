import type { GRPCInferenceService } from "@millrace/contracts/inference/grpc_service";
import type { Unary } from "@millrace/grpc";
import { ParameterInvalidError } from "../protocol/infer-parameters.ts";
import type { ModelRepository } from "../repository/model-repository.ts";
import { modelNamed, needRepository } from "./repository-model-load.ts";

/**
 * Takes a model of the repository out of service. Requests that it has taken are answered; the call waits for them. With
 * the parameter `unload_dependents` the models of an ensemble go too.
 */
export const repositoryModelUnload =
  (repository: ModelRepository | undefined): Unary<typeof GRPCInferenceService.method.repositoryModelUnload> =>
  async (request) => {
    const served = needRepository(repository);
    const name = modelNamed(served, request);
    let dependents = false;
    for (const [parameter, { parameterChoice }] of Object.entries(request.parameters)) {
      const field = `parameters.${parameter}`;
      if (parameter !== "unload_dependents") {
        throw new ParameterInvalidError(field, "unload_dependents", "another parameter");
      }
      if (parameterChoice.case !== "boolParam") {
        throw new ParameterInvalidError(field, "bool_param", parameterChoice.case ?? "nothing");
      }
      dependents = parameterChoice.value;
    }
    await served.unload(name, dependents);
    return {};
  };
