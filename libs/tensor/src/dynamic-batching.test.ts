import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { DynamicBatching, type Queued } from "./dynamic-batching.ts";
import { type BatchingOptions, QueueFullError } from "./queue-policy.ts";

interface Request extends Queued {
  readonly id: number;
}

const queueWith = (options: Partial<BatchingOptions> = {}) => {
  const clock = { ms: 1000 };
  const queue = new DynamicBatching<Request>(
    { maxBatchSize: 4, maxQueueDelayMs: 0, maxQueueSize: 100, ...options },
    () => clock.ms,
  );
  let id = 0;
  const offer = (rows = 1, group = "a", expiresAtMs?: number) => {
    const request = { id: id++, rows, group, expiresAtMs };
    queue.offer(request);
    return request;
  };
  const taken = () => {
    const { batch } = queue.take();
    return batch && { ids: batch.requests.map((request) => request.id), rows: batch.rows, closed: batch.closed };
  };
  return { queue, clock, offer, taken };
};

describe("with no delay", () => {
  test("a lone request runs at once", () => {
    const { offer, taken } = queueWith();
    offer();
    expect(taken()).toEqual({ ids: [0], rows: 1, closed: "QUEUE_EMPTY" });
    expect(taken()).toBeUndefined();
  });

  test("what has come while workers were busy is joined, first in first out", () => {
    const { offer, taken } = queueWith();
    for (let request = 0; request < 6; request++) offer();
    expect(taken()).toEqual({ ids: [0, 1, 2, 3], rows: 4, closed: "FULL" });
    expect(taken()).toEqual({ ids: [4, 5], rows: 2, closed: "QUEUE_EMPTY" });
  });
});

describe("a queue that is cleared", () => {
  test("gives all requests, also those that wait for company, and takes others after that", () => {
    const { queue, offer, taken } = queueWith({ maxQueueDelayMs: 50, maxQueueSize: 4 });
    const requests = [offer(2, "a"), offer(0, "b"), offer(1, "a")];
    expect(queue.clear()).toEqual([requests[0], requests[2], requests[1]]);
    expect([queue.waiting, queue.waitingRows, queue.rowsAhead(undefined), queue.clear()]).toEqual([0, 0, 0, []]);
    for (let request = 0; request < 4; request++) offer();
    expect(taken()).toEqual({ ids: [3, 4, 5, 6], rows: 4, closed: "FULL" });
  });
});

describe("a batch is closed", () => {
  test("when the next request would make it too large; that one comes next, not one behind it", () => {
    const { offer, taken } = queueWith();
    for (const rows of [2, 3, 1]) offer(rows);
    expect(taken()).toEqual({ ids: [0], rows: 2, closed: "NEXT_TOO_LARGE" });
    expect(taken()).toEqual({ ids: [1, 2], rows: 4, closed: "FULL" });
  });

  test("with one request where the model joins none", () => {
    const { offer, taken } = queueWith({ maxBatchSize: 1 });
    for (let request = 0; request < 2; request++) offer();
    expect(taken()).toEqual({ ids: [0], rows: 1, closed: "UNBATCHED" });
  });

  test("without waiting once the queue is drained", () => {
    const { queue, offer, taken } = queueWith({ maxQueueDelayMs: 50 });
    offer();
    expect(queue.take()).toMatchObject({ batch: undefined, lookAgainAtMs: 1050 });
    queue.drain();
    expect(taken()).toEqual({ ids: [0], rows: 1, closed: "DRAINING" });
  });
});

describe("with a delay", () => {
  test("the oldest request waits for company no longer than it", () => {
    const { queue, clock, offer, taken } = queueWith({ maxQueueDelayMs: 5 });
    offer();
    clock.ms += 3;
    offer();
    expect(queue.take()).toMatchObject({ batch: undefined, lookAgainAtMs: 1005 });
    clock.ms += 2;
    expect(taken()).toEqual({ ids: [0, 1], rows: 2, closed: "DELAY_ELAPSED" });
  });

  test("a full batch does not wait, nor for an older one of another shape that does", () => {
    const { offer, taken } = queueWith({ maxQueueDelayMs: 5 });
    offer(1, "lonely");
    for (let request = 0; request < 4; request++) offer(1, "busy");
    expect(taken()).toEqual({ ids: [1, 2, 3, 4], rows: 4, closed: "FULL" });
    expect(taken()).toBeUndefined();
  });
});

describe("where the time of runs is known", () => {
  const withRunTime = (msPerRow: number | undefined) => {
    const queue = new DynamicBatching<Request>(
      { maxBatchSize: 16, maxQueueDelayMs: 0, maxQueueSize: 100 },
      () => 1000,
      (rows) => (msPerRow === undefined ? undefined : rows * msPerRow),
    );
    const offer = (id: number, expiresAtMs?: number) => queue.offer({ id, rows: 1, group: "a", expiresAtMs });
    const taken = () => {
      const { batch } = queue.take();
      return batch && { ids: batch.requests.map(({ id }) => id), closed: batch.closed };
    };
    return { queue, offer, taken };
  };

  test("a batch is no longer than those in it wait", () => {
    const { offer, taken } = withRunTime(10);
    for (const [id, expiresAtMs] of [1025, 1100, 1100, undefined].entries()) offer(id, expiresAtMs);
    expect(taken()).toEqual({ ids: [0, 1], closed: "DEADLINE_NEAR" });
    expect(taken()).toEqual({ ids: [2, 3], closed: "QUEUE_EMPTY" });
  });

  test("a request that would be late even by itself is dropped where others wait, and run where none does", () => {
    const { queue, offer, taken } = withRunTime(10);
    for (const [id, expiresAtMs] of [1005, 1100, 1100].entries()) offer(id, expiresAtMs);
    const { batch, expired } = queue.take();
    expect([batch?.requests.map(({ id }) => id), expired.map(({ id }) => id)]).toEqual([[1, 2], [0]]);
    offer(3, 1005);
    expect(taken()).toEqual({ ids: [3], closed: "QUEUE_EMPTY" });
  });

  test("nothing is shortened before it is", () => {
    const { offer, taken } = withRunTime(undefined);
    for (const [id, expiresAtMs] of [1005, 1006].entries()) offer(id, expiresAtMs);
    expect(taken()).toEqual({ ids: [0, 1], closed: "QUEUE_EMPTY" });
  });
});

describe("preferred sizes", () => {
  test("end the wait, and the largest that is there is taken", () => {
    const { queue, offer, taken } = queueWith({ maxBatchSize: 16, maxQueueDelayMs: 5, preferredBatchSizes: [2, 4, 8] });
    for (let request = 0; request < 5; request++) offer();
    expect(taken()).toEqual({ ids: [0, 1, 2, 3], rows: 4, closed: "PREFERRED_SIZE" });
    expect(taken()).toBeUndefined();
    expect(queue.waiting).toBe(1);
  });

  test("that larger requests step over end the wait for all of them", () => {
    const { offer, taken } = queueWith({ maxBatchSize: 16, maxQueueDelayMs: 5, preferredBatchSizes: [4] });
    offer(3);
    expect(taken()).toBeUndefined();
    offer(3);
    expect(taken()).toEqual({ ids: [0, 1], rows: 6, closed: "PREFERRED_SIZE" });
  });

  test("keep nothing waiting beyond the delay", () => {
    const { clock, offer, taken } = queueWith({ maxBatchSize: 16, maxQueueDelayMs: 5, preferredBatchSizes: [4] });
    for (let request = 0; request < 5; request++) offer();
    clock.ms += 5;
    expect(taken()).toEqual({ ids: [0, 1, 2, 3, 4], rows: 5, closed: "DELAY_ELAPSED" });
  });
});

describe("levels of priority", () => {
  const withLevels = (options: Partial<BatchingOptions> = {}) => {
    const made = queueWith({ maxBatchSize: 2, priorityLevels: 3, ...options });
    let id = 100;
    const offerAt = (priority: number | undefined, group = "a", timeoutMs?: number) => {
      const request = { id: id++, rows: 1, group, expiresAtMs: undefined, priority, timeoutMs };
      made.queue.offer(request);
      return request;
    };
    return { ...made, offerAt };
  };

  test("run the higher first and fill up with the lower; none named is the lowest", () => {
    const { offerAt, taken } = withLevels();
    for (const priority of [3, undefined, 2, 1, 2]) offerAt(priority);
    expect([taken(), taken(), taken()].map((batch) => batch?.ids)).toEqual([[103, 102], [104, 100], [101]]);
  });

  test("that are not there are the default one", () => {
    const { offerAt, taken } = withLevels({ maxBatchSize: 1, defaultPriorityLevel: 2 });
    for (const priority of [3, 9, 0, undefined]) offerAt(priority);
    expect([taken(), taken(), taken(), taken()].map((batch) => batch?.ids[0])).toEqual([101, 102, 103, 100]);
  });

  test("put Infinity on the lowest, whichever is the default", () => {
    const { offerAt, taken } = withLevels({ maxBatchSize: 1, defaultPriorityLevel: 1 });
    for (const priority of [Infinity, 2, undefined]) offerAt(priority);
    expect([taken(), taken(), taken()].map((batch) => batch?.ids[0])).toEqual([102, 101, 100]);
  });

  test("count for the rows that are ahead of a request", () => {
    const { queue, offerAt } = withLevels();
    for (const priority of [1, 2, 2, 3]) offerAt(priority);
    expect([1, 2, 3].map((priority) => queue.rowsAhead(priority))).toEqual([1, 3, 4]);
  });

  test("have policies of their own: a short queue, a time to wait", () => {
    const { queue, clock, offerAt } = withLevels({
      levelQueuePolicies: {
        3: { timeoutAction: "REJECT", defaultTimeoutMs: 0, allowTimeoutOverride: false, maxQueueSize: 1 },
        2: { timeoutAction: "REJECT", defaultTimeoutMs: 10, allowTimeoutOverride: true, maxQueueSize: 0 },
      },
    });
    offerAt(3);
    expect(() => offerAt(3)).toThrow("1 requests of priority 3 wait, and at most 1 may");
    const patient = offerAt(2);
    const hasty = offerAt(2, "a", 4);
    expect(queue.nextTimeoutMs).toBe(1004);
    clock.ms = 1004;
    expect(queue.sweep().timedOut).toEqual([hasty]);
    clock.ms = 1010;
    expect(queue.sweep().timedOut).toEqual([patient]);
    expect(queue.waiting).toBe(1);
  });

  test("put a late request behind those that are not, where the policy is to delay", () => {
    const { clock, queue, offerAt } = withLevels({
      maxBatchSize: 1,
      queuePolicy: { timeoutAction: "DELAY", defaultTimeoutMs: 10, allowTimeoutOverride: false, maxQueueSize: 0 },
    });
    const late = offerAt(2);
    clock.ms = 1010;
    const fresh = offerAt(2);
    const lower = offerAt(3);
    const first = queue.take();
    expect(first.delayed).toEqual([late]);
    expect([first, queue.take(), queue.take()].map(({ batch }) => batch?.requests[0])).toEqual([fresh, late, lower]);
  });
});

describe("requests of different shapes", () => {
  test("are never joined, and the shape of the oldest goes first", () => {
    const { offer, taken } = queueWith();
    for (const group of ["a", "b", "a", "b"]) offer(1, group);
    expect(taken()).toMatchObject({ ids: [0, 2] });
    expect(taken()).toMatchObject({ ids: [1, 3] });
  });
});

describe("a request whose time is over", () => {
  test("is dropped, wherever it stands, and not run", () => {
    const { queue, clock, offer } = queueWith();
    offer(1, "a", 1010);
    offer(1, "a");
    offer(1, "b", 1005);
    clock.ms = 1010;
    const { batch, expired } = queue.take();
    expect(expired.map(({ id }) => id)).toEqual([0, 2]);
    expect(batch?.requests.map(({ id }) => id)).toEqual([1]);
    expect(queue.waiting).toBe(0);
    expect(queue.waitingRows).toBe(0);
  });
});

describe("a full queue", () => {
  test("refuses what would make it longer, with advice when to try again", () => {
    const { queue, offer } = queueWith({ maxQueueSize: 3 });
    offer(2);
    expect(() => offer(2)).toThrow(QueueFullError);
    try {
      queue.offer({ id: 9, rows: 2, group: "a", expiresAtMs: undefined }, 77);
    } catch (error) {
      expect(error).toMatchObject({
        code: "RESOURCE_EXHAUSTED",
        reasonName: "OVERLOADED",
        details: { retryAfterMs: 77 },
      });
    }
    offer(1);
    expect(queue.waitingRows).toBe(3);
  });

  test("takes a request of any size when nothing waits", () => {
    const { offer, taken } = queueWith({ maxQueueSize: 3 });
    offer(5);
    expect(taken()).toEqual({ ids: [0], rows: 5, closed: "FULL" });
  });

  test("has room again for what was taken out of it", () => {
    const { queue, offer } = queueWith({ maxQueueSize: 1 });
    const request = offer();
    expect(queue.remove(request)).toBe(true);
    expect(queue.remove(request)).toBe(false);
    offer();
  });
});

test("every request leaves the queue exactly once, in order within its shape, in batches of one shape and no more rows than allowed", () => {
  const seed = Number(process.env.MILLRACE_SEED ?? Date.now() % 2 ** 31);
  const step = fc.oneof(
    fc.record({
      kind: fc.constant("offer" as const),
      rows: fc.integer({ min: 0, max: 6 }),
      group: fc.constantFrom("a", "b", "c"),
      expiresInMs: fc.option(fc.integer({ min: 0, max: 20 }), { nil: undefined }),
    }),
    fc.record({ kind: fc.constant("take" as const), ms: fc.integer({ min: 0, max: 10 }) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), fc.integer({ min: 0, max: 8 }), (steps, maxQueueDelayMs) => {
      const { queue, clock, offer } = queueWith({ maxQueueDelayMs, maxQueueSize: 1000 });
      const offered: Request[] = [];
      const left: Request[] = [];
      const take = () => {
        const { batch, expired } = queue.take();
        for (const request of expired) expect(request.expiresAtMs).toBeLessThanOrEqual(clock.ms);
        left.push(...expired);
        if (batch === undefined) return false;
        expect(new Set(batch.requests.map(({ group }) => group)).size).toBe(1);
        expect(batch.requests.length === 1 || batch.rows <= 4).toBe(true);
        expect(batch.rows).toBe(batch.requests.reduce((sum, { rows }) => sum + rows, 0));
        for (const request of batch.requests) {
          const before = left.filter(({ group, expiresAtMs }) => group === request.group && expiresAtMs === undefined);
          expect(before.every(({ id }) => id < request.id)).toBe(true);
          left.push(request);
        }
        return true;
      };
      for (const one of steps) {
        if (one.kind === "offer") {
          offered.push(
            offer(one.rows, one.group, one.expiresInMs === undefined ? undefined : clock.ms + one.expiresInMs),
          );
        } else {
          clock.ms += one.ms;
          take();
        }
      }
      queue.drain();
      while (take());
      expect(left.map(({ id }) => id).sort((a, b) => a - b)).toEqual(offered.map(({ id }) => id));
      expect([queue.waiting, queue.waitingRows]).toEqual([0, 0]);
    }),
    { seed },
  );
});
