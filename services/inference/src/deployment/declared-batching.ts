import {
  type Batching,
  type QueuePolicy as DeclaredQueuePolicy,
  QueuePolicy_TimeoutAction as TimeoutAction,
} from "@millrace/contracts/millrace/inference/v1/deployment";
import type { FieldViolation } from "@millrace/errors";
import type { BatchingOptions, QueuePolicy } from "@millrace/tensor";
import { DeclarationInvalidError } from "./declaration-invalid-error.ts";
import { durationMs } from "./duration.ts";

/**
 * How requests wait and are joined, with the service's defaults filled in.
 * @param field path of `batching`. @param violations is added to, for every rule that is broken.
 */
export const declaredBatching = (
  batching: Batching | undefined,
  field: string,
  defaults: BatchingOptions,
  violations: FieldViolation[],
): BatchingOptions => {
  const { maxBatchSize, maxQueueDelayMs, maxQueueSize } = defaults;
  if (batching === undefined) return { maxBatchSize, maxQueueDelayMs, maxQueueSize };
  const refuse = (name: string, expected: string, got: string | number) =>
    violations.push({ field: `${field}.${name}`, expected, got: String(got) });
  const { priorityLevels: levels, defaultPriorityLevel: level, preferredBatchSizes: preferred } = batching;
  const largest = batching.maxBatchSize || maxBatchSize;
  for (const [index, size] of preferred.entries()) {
    if (size > largest) refuse(`preferred_batch_sizes[${index}]`, `at most the largest batch of ${largest}`, size);
  }
  if (level > levels) refuse("default_priority_level", levels === 0 ? "priority_levels" : `at most ${levels}`, level);
  const policies = Object.entries(batching.priorityQueuePolicies).map(([key, policy]) => {
    if (!(Number(key) >= 1 && Number(key) <= levels)) {
      refuse("priority_queue_policies", levels === 0 ? "priority_levels" : `levels from 1 to ${levels}`, key);
    }
    return [key, queuePolicy(policy, `${field}.priority_queue_policies[${key}]`, violations)] as const;
  });
  return {
    maxBatchSize: largest,
    maxQueueDelayMs: duration(`${field}.max_queue_delay`, batching.maxQueueDelay, maxQueueDelayMs, violations),
    maxQueueSize: batching.maxQueueSize || maxQueueSize,
    ...(preferred.length === 0 ? {} : { preferredBatchSizes: preferred }),
    ...(levels === 0 ? {} : { priorityLevels: levels }),
    ...(level === 0 ? {} : { defaultPriorityLevel: level }),
    ...(batching.defaultQueuePolicy === undefined
      ? {}
      : { queuePolicy: queuePolicy(batching.defaultQueuePolicy, `${field}.default_queue_policy`, violations) }),
    ...(policies.length === 0 ? {} : { levelQueuePolicies: Object.fromEntries(policies) }),
  };
};

const queuePolicy = (policy: DeclaredQueuePolicy, field: string, violations: FieldViolation[]): QueuePolicy => {
  const timeoutAction = policy.timeoutAction === TimeoutAction.DELAY ? "DELAY" : "REJECT";
  const { allowTimeoutOverride, maxQueueSize } = policy;
  const defaultTimeoutMs = duration(`${field}.default_timeout`, policy.defaultTimeout, 0, violations);
  if (timeoutAction === "DELAY" && defaultTimeoutMs === 0 && !allowTimeoutOverride) {
    const expected = "a default_timeout, or allow_timeout_override, for something to be late";
    violations.push({ field: `${field}.timeout_action`, expected, got: "DELAY" });
  }
  return { timeoutAction, defaultTimeoutMs, allowTimeoutOverride, maxQueueSize };
};

/** A duration in ms; where it is none that is a violation, and the default stands in. */
export const duration = (
  field: string,
  text: string | undefined,
  defaultMs: number,
  violations: FieldViolation[],
): number => {
  if (text === undefined || text === "") return defaultMs;
  try {
    return durationMs(field, text);
  } catch (error) {
    if (!(error instanceof DeclarationInvalidError)) throw error;
    violations.push(...(error.details.violations ?? []));
    return defaultMs;
  }
};
