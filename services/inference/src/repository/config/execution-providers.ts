import { ModelInstanceGroup_Kind as Kind, type ModelConfig } from "@millrace/contracts/inference/model_config";
import type { FieldViolation } from "@millrace/errors";

const accelerators = new Set(["tensorrt", "cuda"]);

/**
 * Where a configuration has its model run, in order of preference: the CPU for KIND_CPU; for KIND_GPU the accelerators
 * that it names, CUDA, and the CPU where the machine has neither, which is said aloud; undefined where it leaves that
 * open.
 */
export const executionProvidersOf = (config: ModelConfig): readonly string[] | undefined => {
  const kind = config.instanceGroup[0]?.kind ?? Kind.AUTO;
  if (kind === Kind.CPU) return ["cpu"];
  const named = (config.optimization?.executionAccelerators?.gpuExecutionAccelerator ?? []).map(({ name }) => name);
  if (kind !== Kind.GPU && named.length === 0) return undefined;
  return [...new Set([...named, "cuda", "cpu"])];
};

/** Violations of what a configuration says of devices. */
export const providerViolations = ({ instanceGroup, optimization }: ModelConfig): FieldViolation[] => {
  const violations: FieldViolation[] = [];
  const [first] = instanceGroup;
  for (const [index, { kind, count }] of instanceGroup.entries()) {
    const field = `instance_group[${index}]`;
    if (kind === Kind.MODEL) {
      violations.push({ field: `${field}.kind`, expected: "KIND_CPU, KIND_GPU or KIND_AUTO", got: "KIND_MODEL" });
    } else if (kind !== first?.kind) {
      violations.push({
        field: `${field}.kind`,
        expected: "the kind of the first group: the instances of a model share one queue and one device",
        got: "another kind",
      });
    }
    if (count < 0) violations.push({ field: `${field}.count`, expected: "a count from 0", got: String(count) });
  }
  const total = instanceGroup.reduce((sum, { count }) => sum + Math.max(count, 1), 0);
  if (total > 64) violations.push({ field: "instance_group", expected: "at most 64 instances", got: String(total) });
  const { gpuExecutionAccelerator = [], cpuExecutionAccelerator = [] } = optimization?.executionAccelerators ?? {};
  for (const [index, { name, parameters }] of gpuExecutionAccelerator.entries()) {
    const field = `optimization.execution_accelerators.gpu_execution_accelerator[${index}]`;
    if (!accelerators.has(name)) {
      violations.push({ field: `${field}.name`, expected: "tensorrt or cuda", got: name === "" ? "nothing" : name });
    }
    for (const parameter of Object.keys(parameters)) {
      violations.push({
        field: `${field}.parameters.${parameter}`,
        expected: "nothing: providers run with their own defaults",
        got: "a value",
      });
    }
  }
  for (const [index, { name }] of cpuExecutionAccelerator.entries()) {
    violations.push({
      field: `optimization.execution_accelerators.cpu_execution_accelerator[${index}].name`,
      expected: "nothing: this runtime has no accelerator for CPUs",
      got: name === "" ? "nothing" : name,
    });
  }
  return violations;
};
