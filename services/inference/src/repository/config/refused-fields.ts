import type {
  ModelConfig,
  ModelInstanceGroup,
  ModelOptimizationPolicy,
} from "@millrace/contracts/inference/model_config";
import type { FieldViolation } from "@millrace/errors";

/** A field that is set, and why that cannot be followed. */
type Refusal = readonly [field: string, isSet: boolean, why: string];

const refusal = ([field, isSet, why]: Refusal): FieldViolation[] =>
  isSet ? [{ field, expected: `nothing: ${why}`, got: "a value" }] : [];

/** Violations of the fields that would change what a model answers, or how, and that are not served. */
export const refusedFields = (config: ModelConfig): FieldViolation[] => {
  const { runtime, schedulingChoice, modelOperations, modelTransactionPolicy, modelRepositoryAgents } = config;
  const fields: Refusal[] = [
    ["runtime", runtime !== "", "the runtime is onnxruntime, in the process"],
    ["batch_input", config.batchInput.length > 0, "ragged batches are not joined"],
    ["batch_output", config.batchOutput.length > 0, "ragged batches are not joined"],
    ["cc_model_filenames", Object.keys(config.ccModelFilenames).length > 0, "a model has one file for all devices"],
    ["metric_tags", Object.keys(config.metricTags).length > 0, "metrics are labelled with model and version alone"],
    ["sequence_batching", schedulingChoice.case === "sequenceBatching", "models keep no state between requests"],
    [
      "model_operations.op_library_filename",
      (modelOperations?.opLibraryFilename.length ?? 0) > 0,
      "libraries of custom operators are not loaded",
    ],
    ["model_transaction_policy.decoupled", modelTransactionPolicy?.decoupled ?? false, "a request has one answer"],
    [
      "model_repository_agents",
      (modelRepositoryAgents?.agents.length ?? 0) > 0,
      "files are served as they are; packages have digests and signatures",
    ],
  ];
  for (const [index, input] of config.input.entries()) {
    const field = `input[${index}]`;
    fields.push(
      [`${field}.is_shape_tensor`, input.isShapeTensor, "only TensorRT engines have shape tensors"],
      [`${field}.allow_ragged_batch`, input.allowRaggedBatch, "ragged batches are not joined"],
      [`${field}.optional`, input.optional, "every input of a graph is needed"],
      [`${field}.is_non_linear_format_io`, input.isNonLinearFormatIo, "tensors are row-major"],
    );
  }
  for (const [index, output] of config.output.entries()) {
    const field = `output[${index}]`;
    fields.push(
      [`${field}.is_shape_tensor`, output.isShapeTensor, "only TensorRT engines have shape tensors"],
      [`${field}.is_non_linear_format_io`, output.isNonLinearFormatIo, "tensors are row-major"],
    );
  }
  for (const [index, group] of config.instanceGroup.entries()) fields.push(...refusedInGroup(group, index));
  return fields.flatMap(refusal);
};

const refusedInGroup = (group: ModelInstanceGroup, index: number): Refusal[] => {
  const field = `instance_group[${index}]`;
  return [
    [`${field}.secondary_devices`, group.secondaryDevices.length > 0, "there is one device a model"],
    [`${field}.profile`, group.profile.length > 0, "only TensorRT engines have profiles"],
    [`${field}.passive`, group.passive, "every instance takes requests"],
    [`${field}.gpus`, group.gpus.some((gpu) => gpu !== 0), "a GPU is device 0 of the process"],
  ];
};

/**
 * The fields that are set and change only how fast something is on hardware or a runtime that is not this one's: they
 * are not followed, and said aloud when the model is loaded.
 */
export const fieldsWithoutEffect = (config: ModelConfig): string[] => {
  const { optimization } = config;
  const set: [string, boolean][] = [
    ["model_metrics", (config.modelMetrics?.metricControl.length ?? 0) > 0],
    ...optimizationWithoutEffect(optimization),
  ];
  for (const [index, group] of config.instanceGroup.entries()) {
    set.push([`instance_group[${index}].rate_limiter`, group.rateLimiter !== undefined]);
    set.push([`instance_group[${index}].host_policy`, group.hostPolicy !== ""]);
  }
  return set.filter(([, isSet]) => isSet).map(([field]) => field);
};

const optimizationWithoutEffect = (optimization: ModelOptimizationPolicy | undefined): [string, boolean][] =>
  optimization === undefined
    ? []
    : [
        ["optimization.priority", optimization.priority !== 0],
        ["optimization.cuda", optimization.cuda !== undefined],
        ["optimization.input_pinned_memory", optimization.inputPinnedMemory !== undefined],
        ["optimization.output_pinned_memory", optimization.outputPinnedMemory !== undefined],
        ["optimization.gather_kernel_buffer_threshold", optimization.gatherKernelBufferThreshold !== 0],
        ["optimization.eager_batching", optimization.eagerBatching],
      ];
