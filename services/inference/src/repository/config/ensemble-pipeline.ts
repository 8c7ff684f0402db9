import { create } from "@bufbuild/protobuf";
import type { ModelConfig } from "@millrace/contracts/inference/model_config";
import { type Pipeline, PipelineSchema } from "@millrace/contracts/millrace/inference/v1/deployment";
import type { FieldViolation } from "@millrace/errors";
import { ModelConfigInvalidError } from "./model-config-invalid-error.ts";

/**
 * Turns `ensemble_scheduling` into a pipeline: each step runs a model, and its maps name the tensors that it reads and
 * writes.
 * @param name the ensemble's. @param version a decimal integer.
 * @throws ModelConfigInvalidError where a tensor is read that is neither an input of the ensemble nor written by a step.
 */
export const ensemblePipeline = (config: ModelConfig, name: string, version: string): Pipeline => {
  const { schedulingChoice, input, output } = config;
  const steps = schedulingChoice.case === "ensembleScheduling" ? schedulingChoice.value.step : [];
  const violations: FieldViolation[] = [];
  const known = new Set([...input.map(({ name }) => name), ...steps.flatMap((step) => Object.values(step.outputMap))]);
  if (output.length === 0) violations.push({ field: "output", expected: "the outputs of the ensemble", got: "none" });
  for (const [index, step] of steps.entries()) {
    const field = `ensemble_scheduling.step[${index}]`;
    if (step.modelNamespace !== "") {
      violations.push({ field: `${field}.model_namespace`, expected: "nothing: names are unique", got: "a value" });
    }
    for (const [own, tensor] of Object.entries(step.inputMap)) {
      if (known.has(tensor)) continue;
      const expected = `a tensor that is an input of the ensemble or written by a step: ${[...known].join(", ")}`;
      violations.push({ field: `${field}.input_map.${own}`, expected, got: tensor });
    }
  }
  for (const [index, tensor] of output.entries()) {
    if (known.has(tensor.name)) continue;
    violations.push({ field: `output[${index}].name`, expected: "a tensor that a step writes", got: tensor.name });
  }
  if (violations.length > 0) throw new ModelConfigInvalidError(name, violations);
  const names = new Map<string, number>();
  return create(PipelineSchema, {
    version: BigInt(version),
    outputs: Object.fromEntries(output.map(({ name }) => [name, name])),
    steps: steps.map(({ modelName, modelVersion, inputMap, outputMap }) => {
      const times = (names.get(modelName) ?? 0) + 1;
      names.set(modelName, times);
      return {
        name: times === 1 ? modelName : `${modelName}-${times}`,
        model: modelName,
        modelVersion: modelVersion > 0n ? modelVersion : 0n,
        inputs: inputMap,
        outputs: outputMap,
      };
    }),
  });
};
