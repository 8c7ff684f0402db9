import { MillraceError, Reason } from "@millrace/errors";

/** Thrown when a request would make the queue of a model longer than it may be. */
export class QueueFullError extends MillraceError {
  /** @param text what waits, and how much of it may. */
  constructor(text: string, waiting: number, maxQueueSize: number, retryAfterMs: number) {
    super("RESOURCE_EXHAUSTED", Reason.OVERLOADED, `The model's queue is full: ${text}.`, {
      retryAfterMs,
      metadata: { waiting: String(waiting), maxQueueSize: String(maxQueueSize) },
    });
  }
}

/** How long requests of a level may wait, and how many of them. */
export interface QueuePolicy {
  /** What becomes of a request that has waited too long: it is rejected, or waits on behind those that are not late. */
  readonly timeoutAction: "REJECT" | "DELAY";
  /** Longest time in the queue, in ms; 0: none. */
  readonly defaultTimeoutMs: number;
  /** Whether a request's own timeout may make that shorter. */
  readonly allowTimeoutOverride: boolean;
  /** Most requests of the level that wait; 0: only the bound of the whole queue holds. */
  readonly maxQueueSize: number;
}

export const defaultQueuePolicy: QueuePolicy = {
  timeoutAction: "REJECT",
  defaultTimeoutMs: 0,
  allowTimeoutOverride: false,
  maxQueueSize: 0,
};

export interface BatchingOptions {
  /** Most rows in one batch; 1 joins nothing. */
  readonly maxBatchSize: number;
  /** Longest time that the oldest request waits for company, in ms. 0: none waits. */
  readonly maxQueueDelayMs: number;
  /** Most rows that wait. */
  readonly maxQueueSize: number;
  /** Numbers of rows that end the wait for company: the largest that the waiting requests add up to is taken. */
  readonly preferredBatchSizes?: readonly number[] | undefined;
  /** Levels of priority, 1 the highest. 0, the default: all requests are alike. */
  readonly priorityLevels?: number | undefined;
  /** The level of requests that name none, or one that is not there. Default: the lowest. */
  readonly defaultPriorityLevel?: number | undefined;
  /** For levels that have no policy of their own. */
  readonly queuePolicy?: QueuePolicy | undefined;
  /** By level. */
  readonly levelQueuePolicies?: Readonly<Record<number, QueuePolicy>> | undefined;
}

/**
 * A queue's level of a request, from 0 for the highest: what the queue's lists are counted by. A priority of Infinity is
 * the lowest level, however many there are.
 */
export const levelOf = (
  { priorityLevels = 0, defaultPriorityLevel }: BatchingOptions,
  priority: number | undefined,
): number => {
  if (priorityLevels <= 0) return 0;
  if (priority === Infinity) return priorityLevels - 1;
  if (priority !== undefined && priority >= 1 && priority <= priorityLevels) return Math.floor(priority) - 1;
  return (defaultPriorityLevel || priorityLevels) - 1;
};

/** The policy of a level that is counted from 0. */
export const policyOf = ({ queuePolicy, levelQueuePolicies }: BatchingOptions, level: number): QueuePolicy =>
  levelQueuePolicies?.[level + 1] ?? queuePolicy ?? defaultQueuePolicy;

/** How long a request may wait, in ms; Infinity where nothing but its caller's deadline bounds it. */
export const timeoutMsOf = (policy: QueuePolicy, ownTimeoutMs: number | undefined): number => {
  const timeoutMs = policy.defaultTimeoutMs > 0 ? policy.defaultTimeoutMs : Infinity;
  if (!policy.allowTimeoutOverride || ownTimeoutMs === undefined || ownTimeoutMs <= 0) return timeoutMs;
  return Math.min(timeoutMs, ownTimeoutMs);
};
