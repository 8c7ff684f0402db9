import fc from "fast-check";
import { expect, test } from "vitest";
import { ReferenceQueue, type ReferenceRequest } from "../test/reference-queue.ts";
import { DynamicBatching } from "./dynamic-batching.ts";
import { type BatchingOptions, QueueFullError, type QueuePolicy } from "./queue-policy.ts";

const seed = Number(process.env.MILLRACE_SEED ?? Date.now() % 2 ** 31);

const policies: fc.Arbitrary<QueuePolicy> = fc.record({
  timeoutAction: fc.constantFrom("REJECT", "DELAY"),
  defaultTimeoutMs: fc.constantFrom(0, 5, 12),
  allowTimeoutOverride: fc.boolean(),
  maxQueueSize: fc.constantFrom(0, 0, 3, 8),
});

const options: fc.Arbitrary<BatchingOptions> = fc.record({
  maxBatchSize: fc.constantFrom(1, 4, 8),
  maxQueueDelayMs: fc.constantFrom(0, 4, 9),
  maxQueueSize: fc.constantFrom(10, 1000),
  preferredBatchSizes: fc.uniqueArray(fc.integer({ min: 1, max: 8 }), { maxLength: 3 }),
  priorityLevels: fc.constantFrom(0, 1, 3),
  defaultPriorityLevel: fc.constantFrom(undefined, 1),
  queuePolicy: fc.option(policies, { nil: undefined }),
  levelQueuePolicies: fc.dictionary(fc.constantFrom("1", "2", "3"), policies),
});

const steps = fc.array(
  fc.oneof(
    {
      weight: 5,
      arbitrary: fc.record({
        kind: fc.constant("offer" as const),
        rows: fc.integer({ min: 0, max: 5 }),
        group: fc.constantFrom("a", "a", "b"),
        expiresInMs: fc.option(fc.integer({ min: 0, max: 25 }), { nil: undefined, freq: 3 }),
        priority: fc.option(fc.integer({ min: 0, max: 4 }), { nil: undefined }),
        timeoutMs: fc.option(fc.integer({ min: 0, max: 15 }), { nil: undefined }),
      }),
    },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant("take" as const), ms: fc.integer({ min: 0, max: 6 }) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("sweep" as const), ms: fc.integer({ min: 0, max: 6 }) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("remove" as const), nth: fc.nat({ max: 30 }) }) },
  ),
  { maxLength: 100 },
);

test("a queue with levels, policies and preferred sizes does what the obvious one does", () => {
  fc.assert(
    fc.property(options, steps, (chosen, sequence) => {
      let nowMs = 1000;
      const queue = new DynamicBatching<ReferenceRequest>(chosen, () => nowMs);
      const reference = new ReferenceQueue(chosen);
      const offered: ReferenceRequest[] = [];
      const ids = (requests: readonly ReferenceRequest[]) => requests.map(({ id }) => id);
      const sorted = (swept: { expired: number[]; timedOut: number[]; delayed: number[] }) => ({
        expired: swept.expired.sort((a, b) => a - b),
        timedOut: swept.timedOut.sort((a, b) => a - b),
        delayed: swept.delayed.sort((a, b) => a - b),
      });
      const sweptIds = ({ expired, timedOut, delayed }: ReturnType<typeof queue.sweep>) =>
        sorted({ expired: ids(expired), timedOut: ids(timedOut), delayed: ids(delayed) });
      const take = (draining: boolean): boolean => {
        const swept = sorted(reference.sweep(nowMs));
        const batch = reference.batch(nowMs, draining);
        const got = queue.take();
        expect(sweptIds(got)).toEqual(swept);
        expect(got.batch && { ids: ids(got.batch.requests), closed: got.batch.closed }).toEqual(batch);
        if (got.batch === undefined && queue.waiting > 0) expect(got.lookAgainAtMs).toBeGreaterThan(nowMs);
        return batch !== undefined;
      };
      for (const step of sequence) {
        if (step.kind === "offer") {
          const { rows, group, expiresInMs, priority, timeoutMs } = step;
          const expiresAtMs = expiresInMs === undefined ? undefined : nowMs + expiresInMs;
          const request = { id: offered.length, rows, group, expiresAtMs, priority, timeoutMs };
          offered.push(request);
          if (reference.offer(request, nowMs)) queue.offer(request);
          else expect(() => queue.offer(request)).toThrow(QueueFullError);
        } else if (step.kind === "take") {
          nowMs += step.ms;
          take(false);
        } else if (step.kind === "sweep") {
          nowMs += step.ms;
          const { nextTimeoutMs } = queue;
          const swept = sorted(reference.sweep(nowMs));
          expect(sweptIds(queue.sweep())).toEqual(swept);
          if (swept.timedOut.length + swept.delayed.length > 0) expect(nextTimeoutMs).toBeLessThanOrEqual(nowMs);
        } else {
          const request = offered[step.nth];
          if (request !== undefined) expect(queue.remove(request)).toBe(reference.remove(request.id));
        }
      }
      queue.drain();
      while (take(true));
      expect([queue.waiting, queue.waitingRows, queue.rowsAhead(undefined)]).toEqual([0, 0, 0]);
    }),
    { seed, numRuns: 1000 },
  );
});
