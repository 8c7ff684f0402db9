import type { ModelConfig, ModelQueuePolicy } from "@millrace/contracts/inference/model_config";
import { ModelQueuePolicy_TimeoutAction as TimeoutAction } from "@millrace/contracts/inference/model_config";
import type { QueuePolicy } from "@millrace/tensor";
import type { ServingOptions } from "../../serving/load-version.ts";
import { executionProvidersOf } from "./execution-providers.ts";
import { runtimeParameters } from "./runtime-parameters.ts";

/** Whether a configuration leaves open whether requests are joined: then the graph decides. */
export const leavesBatchingOpen = ({ maxBatchSize, input, output }: ModelConfig): boolean =>
  maxBatchSize === 0 && input.length === 0 && output.length === 0;

/** How a model is to run by its configuration, with the service's defaults for what it leaves open. */
export const configuredOptions = (config: ModelConfig, defaults: ServingOptions): ServingOptions => {
  const { instanceGroup, schedulingChoice, maxBatchSize } = config;
  const instances = instanceGroup.reduce((sum, { count }) => sum + (count || 1), 0);
  const providers = executionProvidersOf(config);
  const { intraOpThreads, tuning } = runtimeParameters(config);
  const options: ServingOptions = {
    ...defaults,
    maxBatchSize: leavesBatchingOpen(config) ? defaults.maxBatchSize : Math.max(maxBatchSize, 1),
    instances: instances || defaults.instances,
    intraOpThreads: intraOpThreads ?? defaults.intraOpThreads,
    tuning,
    ...(providers === undefined ? {} : { executionProviders: providers }),
    ...(config.responseCache?.enable === true ? { cacheBytes: defaults.responseCacheBytes } : {}),
  };
  if (schedulingChoice.case !== "dynamicBatching") return options;
  const batching = schedulingChoice.value;
  return {
    ...options,
    maxQueueDelayMs: Number(batching.maxQueueDelayMicroseconds) / 1000,
    preserveOrdering: batching.preserveOrdering,
    preferredBatchSizes: batching.preferredBatchSize,
    priorityLevels: Number(batching.priorityLevels),
    defaultPriorityLevel: Number(batching.defaultPriorityLevel) || undefined,
    queuePolicy: batching.defaultQueuePolicy === undefined ? undefined : queuePolicy(batching.defaultQueuePolicy),
    levelQueuePolicies: Object.fromEntries(
      Object.entries(batching.priorityQueuePolicy).map(([level, policy]) => [level, queuePolicy(policy)]),
    ),
  };
};

const queuePolicy = (policy: ModelQueuePolicy): QueuePolicy => ({
  timeoutAction: policy.timeoutAction === TimeoutAction.DELAY ? "DELAY" : "REJECT",
  defaultTimeoutMs: Number(policy.defaultTimeoutMicroseconds) / 1000,
  allowTimeoutOverride: policy.allowTimeoutOverride,
  maxQueueSize: policy.maxQueueSize,
});
