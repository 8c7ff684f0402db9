import { fromJsonString } from "@bufbuild/protobuf";
import type { GRPCInferenceService, ModelRepositoryParameter } from "@millrace/contracts/inference/grpc_service";
import { type ModelConfig, ModelConfigSchema } from "@millrace/contracts/inference/model_config";
import { MillraceError, Reason } from "@millrace/errors";
import type { Unary } from "@millrace/grpc";
import { ParameterInvalidError } from "../protocol/infer-parameters.ts";
import { requestFiles } from "../repository/forms/request-files.ts";
import type { FoundModel } from "../repository/found-model.ts";
import type { ModelRepository } from "../repository/model-repository.ts";

/**
 * Loads a model of the repository, or loads it anew, without a failed request. The parameter `config` stands in place of
 * its configuration, and `file:<version>/<name>` in place of its files, until it is loaded without them.
 */
export const repositoryModelLoad =
  (repository: ModelRepository | undefined): Unary<typeof GRPCInferenceService.method.repositoryModelLoad> =>
  async (request) => {
    const served = needRepository(repository);
    const name = modelNamed(served, request);
    const override = overrideOf(name, request.parameters);
    await served.load(name, override);
    return {};
  };

/** @throws MillraceError where models come from a declaration alone, which no call changes. */
export const needRepository = (repository: ModelRepository | undefined): ModelRepository => {
  if (repository === undefined) {
    throw new MillraceError(
      "FAILED_PRECONDITION",
      Reason.UNIMPLEMENTED,
      "This service has no folder of models: what it serves is declared in its deployments file, and changed there.",
    );
  }
  return repository;
};

/**
 * The model that a request names. KServe's form of the message has the model's name where Triton's has the repository's.
 * @throws ParameterInvalidError where there is no such repository, or no model is named.
 */
export const modelNamed = (
  { sources }: ModelRepository,
  { repositoryName, modelName }: { readonly repositoryName: string; readonly modelName: string },
): string => {
  if (modelName === "") {
    if (repositoryName === "") throw new ParameterInvalidError("model_name", "the name of a model", "nothing");
    return repositoryName;
  }
  if (repositoryName !== "") checkRepositoryName(sources, repositoryName);
  return modelName;
};

/** @throws ParameterInvalidError */
export const checkRepositoryName = (sources: readonly string[], name: string): void => {
  if (!sources.includes(name)) {
    throw new ParameterInvalidError("repository_name", `nothing, or one of ${sources.join(", ")}`, name);
  }
};

let requests = 0;

const overrideOf = (
  name: string,
  parameters: Readonly<Record<string, ModelRepositoryParameter>>,
): { config?: ModelConfig; model?: FoundModel } => {
  const files = new Map<string, Uint8Array>();
  let config: ModelConfig | undefined;
  for (const [parameter, { parameterChoice }] of Object.entries(parameters)) {
    const field = `parameters.${parameter}`;
    if (parameter === "config") {
      if (parameterChoice.case !== "stringParam") {
        throw new ParameterInvalidError(
          field,
          "string_param: a ModelConfig as JSON",
          parameterChoice.case ?? "nothing",
        );
      }
      config = configOf(field, parameterChoice.value);
    } else if (parameter.startsWith("file:")) {
      const path = parameter.slice("file:".length);
      if (!/^[1-9]\d{0,17}\/[^/\\]+$/.test(path) || path.endsWith("/..")) {
        throw new ParameterInvalidError(field, "file:<version>/<name>", parameter);
      }
      if (parameterChoice.case !== "bytesParam") {
        throw new ParameterInvalidError(field, "bytes_param: the file's content", parameterChoice.case ?? "nothing");
      }
      files.set(path, parameterChoice.value);
    } else throw new ParameterInvalidError(field, "config or file:<version>/<name>", "another parameter");
  }
  if (files.size === 0) return config === undefined ? {} : { config };
  if (config === undefined) {
    throw new ParameterInvalidError("parameters.config", "the model's configuration, beside its files", "nothing");
  }
  return { config, model: requestFiles(name, files, String(++requests)) };
};

/** @throws ParameterInvalidError */
const configOf = (field: string, json: string): ModelConfig => {
  try {
    return fromJsonString(ModelConfigSchema, json);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw new ParameterInvalidError(field, "the JSON mapping of ModelConfig", message);
  }
};
