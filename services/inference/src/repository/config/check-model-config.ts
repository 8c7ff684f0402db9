import type { ModelConfig, ModelDynamicBatching } from "@millrace/contracts/inference/model_config";
import type { FieldViolation } from "@millrace/errors";
import { providerViolations } from "./execution-providers.ts";
import { ModelConfigInvalidError } from "./model-config-invalid-error.ts";
import { fieldsWithoutEffect, refusedFields } from "./refused-fields.ts";
import { runtimeParameters } from "./runtime-parameters.ts";

/**
 * Checks what can be checked of a configuration without its graph.
 * @param name what the model is called where it was found: its folder's name.
 * @returns the fields that are set and have no effect here.
 * @throws ModelConfigInvalidError naming every field that cannot be followed.
 */
export const checkModelConfig = (config: ModelConfig, name: string): readonly string[] => {
  const parameters = runtimeParameters(config);
  const violations = [
    ...identity(config, name),
    ...refusedFields(config),
    ...tensors(config),
    ...batching(config),
    ...providerViolations(config),
    ...parameters.violations,
    ...filesAndVersions(config),
  ];
  if (violations.length > 0) throw new ModelConfigInvalidError(name, violations);
  return [...fieldsWithoutEffect(config), ...parameters.withoutEffect];
};

/** Whether a configuration is of a graph of other models. */
export const isEnsemble = (config: ModelConfig): boolean =>
  config.platform === "ensemble" || config.schedulingChoice.case === "ensembleScheduling";

const identity = (config: ModelConfig, name: string): FieldViolation[] => {
  const violations: FieldViolation[] = [];
  if (config.name !== "" && config.name !== name) {
    violations.push({ field: "name", expected: `${name}, as the model's folder is called`, got: config.name });
  }
  const { platform, backend, schedulingChoice } = config;
  if (isEnsemble(config)) {
    if (platform !== "ensemble") {
      violations.push({ field: "platform", expected: "ensemble, for ensemble_scheduling", got: platform || "nothing" });
    }
    if (schedulingChoice.case !== "ensembleScheduling") {
      violations.push({ field: "ensemble_scheduling", expected: "the steps of the ensemble", got: "nothing" });
    }
    return violations;
  }
  if (platform !== "" && platform !== "onnxruntime_onnx") {
    violations.push({ field: "platform", expected: "onnxruntime_onnx or ensemble", got: platform });
  }
  if (backend !== "" && backend !== "onnxruntime") {
    violations.push({ field: "backend", expected: "onnxruntime", got: backend });
  }
  return violations;
};

const tensors = ({ input, output }: ModelConfig): FieldViolation[] => {
  const violations: FieldViolation[] = [];
  for (const [side, list] of [["input", input] as const, ["output", output] as const]) {
    const seen = new Set<string>();
    for (const [index, tensor] of list.entries()) {
      const field = `${side}[${index}]`;
      const { name, dims, dataType, reshape } = tensor;
      if (name === "") violations.push({ field: `${field}.name`, expected: "a name", got: "nothing" });
      else if (seen.has(name)) violations.push({ field: `${field}.name`, expected: "each name once", got: name });
      seen.add(name);
      if (dataType === 0) violations.push({ field: `${field}.data_type`, expected: "a data type", got: "nothing" });
      if (dims.length === 0) violations.push({ field: `${field}.dims`, expected: "dimensions", got: "none" });
      for (const [field_, list] of [["dims", dims] as const, ["reshape.shape", reshape?.shape ?? []] as const]) {
        const wrong = list.find((dimension) => dimension < -1n || dimension === 0n);
        if (wrong === undefined) continue;
        violations.push({ field: `${field}.${field_}`, expected: "sizes from 1, or -1 for any", got: String(wrong) });
      }
      if ("format" in tensor && tensor.format !== 0 && dims.length !== 3) {
        violations.push({
          field: `${field}.dims`,
          expected: "3 dimensions, for a format of images",
          got: `${dims.length}`,
        });
      }
    }
  }
  return violations;
};

const batching = ({ maxBatchSize, schedulingChoice }: ModelConfig): FieldViolation[] => {
  const violations: FieldViolation[] = [];
  if (maxBatchSize < 0) violations.push({ field: "max_batch_size", expected: "0 or more", got: String(maxBatchSize) });
  if (schedulingChoice.case !== "dynamicBatching") return violations;
  return [...violations, ...dynamicBatching(schedulingChoice.value, maxBatchSize)];
};

const dynamicBatching = (options: ModelDynamicBatching, maxBatchSize: number): FieldViolation[] => {
  const violations: FieldViolation[] = [];
  const levels = Number(options.priorityLevels);
  for (const [index, size] of options.preferredBatchSize.entries()) {
    if (size >= 1 && size <= maxBatchSize) continue;
    violations.push({
      field: `dynamic_batching.preferred_batch_size[${index}]`,
      expected: `a size from 1 to max_batch_size, ${maxBatchSize}`,
      got: String(size),
    });
  }
  if (levels > 64) {
    violations.push({ field: "dynamic_batching.priority_levels", expected: "at most 64", got: String(levels) });
  }
  if (options.defaultPriorityLevel > options.priorityLevels) {
    violations.push({
      field: "dynamic_batching.default_priority_level",
      expected: `at most priority_levels, ${levels}`,
      got: String(options.defaultPriorityLevel),
    });
  }
  if (options.preserveOrdering && levels > 1) {
    violations.push({
      field: "dynamic_batching.preserve_ordering",
      expected: "false where there are levels of priority: they change the order",
      got: "true",
    });
  }
  for (const level of Object.keys(options.priorityQueuePolicy)) {
    if (Number(level) >= 1 && Number(level) <= levels) continue;
    violations.push({
      field: `dynamic_batching.priority_queue_policy.${level}`,
      expected: `a level from 1 to priority_levels, ${levels}`,
      got: level,
    });
  }
  return violations;
};

const filesAndVersions = ({
  versionPolicy,
  defaultModelFilename,
  output,
  modelWarmup,
}: ModelConfig): FieldViolation[] => {
  const violations: FieldViolation[] = [];
  const choice = versionPolicy?.policyChoice;
  if (choice?.case === "specific") {
    if (choice.value.versions.length === 0) {
      violations.push({ field: "version_policy.specific.versions", expected: "at least one", got: "none" });
    }
    for (const version of choice.value.versions) {
      if (version >= 1n) continue;
      violations.push({ field: "version_policy.specific.versions", expected: "1 or more", got: String(version) });
    }
  }
  const paths: [string, string][] = [["default_model_filename", defaultModelFilename]];
  for (const [index, { labelFilename }] of output.entries()) {
    paths.push([`output[${index}].label_filename`, labelFilename]);
  }
  for (const [index, { inputs }] of modelWarmup.entries()) {
    for (const [name, { inputDataType }] of Object.entries(inputs)) {
      if (inputDataType.case !== "inputDataFile") continue;
      paths.push([`model_warmup[${index}].inputs.${name}.input_data_file`, inputDataType.value]);
    }
  }
  for (const [field, path] of paths) {
    if (path === "" || !/(^|[/\\])\.\.([/\\]|$)|^[/\\]/.test(path)) continue;
    violations.push({ field, expected: "a path inside of the model's folder", got: path });
  }
  return violations;
};
