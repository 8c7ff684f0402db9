import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type PayloadReceiver, startPayloadReceiver } from "../../test/payload-receiver.ts";
import { PayloadLog } from "./payload-log.ts";

let receiver: PayloadReceiver;
let outcomes: Record<string, number>;
let retries: number;

beforeEach(async () => {
  receiver = await startPayloadReceiver();
  outcomes = {};
  retries = 0;
});

afterEach(() => receiver.close());

const open = (options: { maxBuffered?: number; maxBufferedBytes?: number; closeLimitMs?: number } = {}) =>
  new PayloadLog(
    { maxBuffered: 100, maxBufferedBytes: 1000, closeLimitMs: 5000, firstRetryMs: 5, ...options },
    {
      onEvents: (outcome, count) => {
        outcomes[outcome] = (outcomes[outcome] ?? 0) + count;
      },
      onRetry: () => {
        retries++;
      },
    },
  );

const event = (id: string, heldBytes = 10, url = receiver.url) => ({
  url,
  headers: { "ce-id": id, "content-type": "application/json" },
  heldBytes,
  body: () => Buffer.from(`"${id}"`),
});
const ids = () => receiver.events.map(({ headers }) => headers["ce-id"]).sort();

describe("events that are offered", () => {
  test("are all sent by a close, with their headers and bodies", async () => {
    const log = open();
    for (let at = 0; at < 20; at++) log.offer(event(`e${10 + at}`));
    await log.close();
    expect(ids()).toEqual(Array.from({ length: 20 }, (_, at) => `e${10 + at}`));
    const [first] = receiver.events;
    expect(first).toMatchObject({ path: "/events?from=test", headers: { "content-type": "application/json" } });
    expect(first?.body.toString()).toBe(`"${first?.headers["ce-id"]}"`);
    expect(outcomes).toEqual({ SENT: 20 });
  });

  test("are sent again where the receiver does not take them for now", async () => {
    receiver.answerWith((attempt) => [503, 429, 202][attempt - 1] ?? 202);
    const log = open();
    log.offer(event("a"));
    await log.close();
    expect(ids()).toEqual(["a"]);
    expect([outcomes, retries]).toEqual([{ SENT: 1 }, 2]);
  });

  test("are dropped and counted after four tries, and at once where the receiver refuses them", async () => {
    receiver.answerWith(() => 500);
    const failing = open();
    failing.offer(event("a"));
    await failing.close();
    expect(receiver.tries()).toBe(4);
    receiver.answerWith(() => 400);
    const refused = open();
    refused.offer(event("b"));
    await refused.close();
    expect(receiver.tries()).toBe(5);
    expect(outcomes).toEqual({ FAILED: 1, REFUSED: 1 });
  });

  test("are dropped and counted where too many wait, or too much, and another receiver is not held up", async () => {
    const other = await startPayloadReceiver();
    const release = receiver.hold();
    const log = open({ maxBuffered: 3, maxBufferedBytes: 100 });
    for (const id of ["a", "b", "c", "d"]) log.offer(event(id));
    await new Promise((resolve) => setImmediate(resolve));
    log.offer(event("large", 90));
    log.offer(event("elsewhere", 10, other.url));
    while (other.events.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    release();
    await log.close();
    expect(ids()).toEqual(["a", "b", "c"]);
    expect(outcomes).toEqual({ SENT: 4, BUFFER_FULL: 2 });
    await other.close();
  });

  test("are dropped and counted at the limit of a close, where the receiver does not answer", async () => {
    receiver.hold();
    const log = open({ closeLimitMs: 50 });
    for (let at = 0; at < 6; at++) log.offer(event(`${at}`));
    await log.close();
    while (outcomes.STOPPED !== 6) await new Promise((resolve) => setTimeout(resolve, 5));
    log.offer(event("late"));
    expect(outcomes).toEqual({ STOPPED: 7 });
  });

  test("are dropped and counted where their body cannot be made, and hold up none behind them", async () => {
    const log = open();
    const broken = () => {
      throw new RangeError("It is no text.");
    };
    log.offer({ ...event("a"), body: broken });
    log.offer(event("b"));
    await log.close();
    expect([ids(), outcomes]).toEqual([["b"], { NOT_ENCODED: 1, SENT: 1 }]);
  });

  test("fail where nobody listens", async () => {
    const log = open();
    await receiver.close();
    log.offer(event("a"));
    await log.close();
    expect([outcomes, retries]).toEqual([{ FAILED: 1 }, 3]);
    receiver = await startPayloadReceiver();
  });
});
