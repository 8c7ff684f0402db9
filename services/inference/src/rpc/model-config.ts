import type { MessageInitShape } from "@bufbuild/protobuf";
import type { GRPCInferenceService } from "@millrace/contracts/inference/grpc_service";
import {
  ModelInstanceGroup_Kind as Kind,
  type ModelConfig,
  type ModelVersionPolicySchema,
  ModelQueuePolicy_TimeoutAction as TimeoutAction,
} from "@millrace/contracts/inference/model_config";
import type { Unary } from "@millrace/grpc";
import { defaultQueuePolicy, type QueuePolicy, type TensorSpec } from "@millrace/tensor";
import type { LaneOptions } from "../execution/lane-options.ts";
import { ensembleConfig } from "../pipeline/ensemble-config.ts";
import { PipelineServable } from "../pipeline/pipeline-servable.ts";
import { configDatatype } from "../repository/config/datatype.ts";
import { ConfiguredVersion } from "../repository/configured-version.ts";
import type { ModelRoster } from "../serving/model-roster.ts";
import type { Servable } from "../serving/servable.ts";
import { ServedVersion } from "../serving/served-version.ts";
import { ModelUnknownError } from "../serving/serving-errors.ts";

/**
 * How a model really runs, as Triton's model configuration: what is in force, whoever said it. Dimensions are without the
 * batch where there is one.
 */
export const modelConfig =
  (roster: ModelRoster): Unary<typeof GRPCInferenceService.method.modelConfig> =>
  async ({ name, version }) => {
    const served = roster.find(name, version);
    const versionPolicy = versionPolicyOf(roster, name, served);
    if (served instanceof PipelineServable && served.bound !== undefined) {
      return { config: { ...common(served), versionPolicy, ...ensembleConfig(served.bound) } };
    }
    if (served instanceof ConfiguredVersion) {
      const { defaultModelFilename, parameters, modelWarmup, optimization } = served.config;
      return {
        config: {
          ...common(served, served.config),
          ...running(served.model),
          versionPolicy,
          defaultModelFilename: defaultModelFilename || "model.onnx",
          parameters,
          modelWarmup,
          ...(optimization === undefined ? {} : { optimization }),
        },
      };
    }
    if (!(served instanceof ServedVersion)) throw new ModelUnknownError(name, version, roster.names());
    return { config: { ...common(served), ...running(served), versionPolicy } };
  };

/** A declaration names its versions; a folder has Triton's default, or what the model's own configuration says. */
const versionPolicyOf = (
  roster: ModelRoster,
  name: string,
  served: Servable,
): MessageInitShape<typeof ModelVersionPolicySchema> => {
  if (roster.declarationHash(name) !== "") {
    const versions = roster.versions(name).map(({ version }) => BigInt(version));
    return { policyChoice: { case: "specific", value: { versions } } };
  }
  const own = served instanceof ConfiguredVersion ? served.config.versionPolicy : undefined;
  return own ?? { policyChoice: { case: "latest", value: { numVersions: 1 } } };
};

const common = (served: Servable, config?: ModelConfig) => {
  const { name, platform, batched, maxBatchSize } = served;
  const onlyOneRow = !batched && config?.maxBatchSize === 1;
  const tensor = (spec: TensorSpec) => ({
    name: spec.name,
    dataType: configDatatype[spec.datatype],
    dims: (batched || onlyOneRow ? spec.shape.slice(1) : spec.shape).map(BigInt),
  });
  return {
    name,
    platform,
    maxBatchSize: batched ? maxBatchSize : onlyOneRow ? 1 : 0,
    input: served.inputs.map((spec) => {
      const own = config?.input.find(({ name }) => name === spec.name);
      return {
        ...tensor(spec),
        format: own?.format ?? 0,
        ...(own?.reshape === undefined ? {} : { reshape: own.reshape }),
      };
    }),
    output: served.outputs.map((spec) => {
      const own = config?.output.find(({ name }) => name === spec.name);
      return {
        ...tensor(spec),
        labelFilename: own?.labelFilename ?? "",
        ...(own?.reshape === undefined ? {} : { reshape: own.reshape }),
      };
    }),
  };
};

const running = ({ name, lane, batched, executionProvider }: ServedVersion) => ({
  backend: "onnxruntime",
  instanceGroup: [
    {
      name,
      count: lane.instances.length,
      ...(executionProvider.name === "cpu" ? { kind: Kind.CPU } : { kind: Kind.GPU, gpus: [0] }),
    },
  ],
  modelTransactionPolicy: { decoupled: false },
  responseCache: { enable: lane.caches },
  ...(batched || hasPolicies(lane.options)
    ? { schedulingChoice: { case: "dynamicBatching" as const, value: dynamicBatching(lane.options) } }
    : {}),
});

const hasPolicies = ({ priorityLevels = 0, queuePolicy }: LaneOptions): boolean =>
  priorityLevels > 0 || queuePolicy !== undefined;

const dynamicBatching = (options: LaneOptions) => {
  const { maxQueueDelayMs, maxQueueSize, preferredBatchSizes = [], priorityLevels = 0 } = options;
  const policy = ({ timeoutAction, defaultTimeoutMs, allowTimeoutOverride, maxQueueSize: own }: QueuePolicy) => ({
    timeoutAction: timeoutAction === "DELAY" ? TimeoutAction.DELAY : TimeoutAction.REJECT,
    defaultTimeoutMicroseconds: microseconds(defaultTimeoutMs),
    allowTimeoutOverride,
    // Where a level has no bound of its own, that of the whole queue holds.
    maxQueueSize: own > 0 ? own : maxQueueSize,
  });
  return {
    preferredBatchSize: [...preferredBatchSizes],
    maxQueueDelayMicroseconds: microseconds(maxQueueDelayMs),
    preserveOrdering: options.preserveOrdering ?? false,
    priorityLevels: BigInt(priorityLevels),
    defaultPriorityLevel: BigInt(priorityLevels === 0 ? 0 : (options.defaultPriorityLevel ?? priorityLevels)),
    defaultQueuePolicy: policy(options.queuePolicy ?? defaultQueuePolicy),
    priorityQueuePolicy: Object.fromEntries(
      Object.entries(options.levelQueuePolicies ?? {}).map(([level, own]) => [level, policy(own)]),
    ),
  };
};

const microseconds = (ms: number): bigint => BigInt(Math.round(ms * 1000));
