import { fromJson, type JsonValue } from "@bufbuild/protobuf";
import { BatchingSchema } from "@millrace/contracts/millrace/inference/v1/deployment";
import type { FieldViolation } from "@millrace/errors";
import { describe, expect, test } from "vitest";
import { declaredBatching } from "./declared-batching.ts";

const defaults = { maxBatchSize: 128, maxQueueDelayMs: 0, maxQueueSize: 4096 };
const read = (json: JsonValue) => {
  const violations: FieldViolation[] = [];
  const options = declaredBatching(fromJson(BatchingSchema, json), "b", defaults, violations);
  return { options, violations: violations.map(({ field, expected, got }) => `${field}: ${expected}, got ${got}`) };
};

describe("batching", () => {
  test("that is left out is the service's, and nothing else", () => {
    expect(declaredBatching(undefined, "b", { ...defaults, priorityLevels: 3 }, [])).toEqual(defaults);
    expect(read({})).toEqual({ options: defaults, violations: [] });
  });

  test("has levels, policies and preferred sizes as the queue takes them", () => {
    const { options, violations } = read({
      maxBatchSize: 16,
      maxQueueDelay: "2ms",
      maxQueueSize: 10,
      preferredBatchSizes: [8, 16],
      priorityLevels: 2,
      defaultPriorityLevel: 1,
      defaultQueuePolicy: { defaultTimeout: "1s" },
      priorityQueuePolicies: { 2: { timeoutAction: "DELAY", allowTimeoutOverride: true, maxQueueSize: 4 } },
    });
    expect(violations).toEqual([]);
    expect(options).toEqual({
      maxBatchSize: 16,
      maxQueueDelayMs: 2,
      maxQueueSize: 10,
      preferredBatchSizes: [8, 16],
      priorityLevels: 2,
      defaultPriorityLevel: 1,
      queuePolicy: { timeoutAction: "REJECT", defaultTimeoutMs: 1000, allowTimeoutOverride: false, maxQueueSize: 0 },
      levelQueuePolicies: {
        2: { timeoutAction: "DELAY", defaultTimeoutMs: 0, allowTimeoutOverride: true, maxQueueSize: 4 },
      },
    });
  });

  test.each([
    [
      "a preferred size beyond the largest batch",
      { maxBatchSize: 4, preferredBatchSizes: [2, 8] },
      /preferred_batch_sizes\[1\]: at most the largest batch of 4, got 8/,
    ],
    ["a default level without levels", { defaultPriorityLevel: 1 }, /default_priority_level: priority_levels, got 1/],
    ["a default level that is not there", { priorityLevels: 2, defaultPriorityLevel: 3 }, /at most 2, got 3/],
    [
      "a policy of a level that is not there",
      { priorityLevels: 2, priorityQueuePolicies: { 3: {} } },
      /levels from 1 to 2, got 3/,
    ],
    [
      "a delay of what is never late",
      { defaultQueuePolicy: { timeoutAction: "DELAY" } },
      /default_queue_policy.timeout_action/,
    ],
    [
      "a timeout without a unit",
      { defaultQueuePolicy: { defaultTimeout: "5" } },
      /default_queue_policy.default_timeout: a duration/,
    ],
  ])("with %s is refused with its field", (_, json, message) => {
    expect(read(json).violations).toEqual([expect.stringMatching(message)]);
  });
});
