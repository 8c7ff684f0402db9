import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { type CallContext, type CallFailure, type CallObserver, currentCall } from "../src/index.ts";
import { serveForTest } from "./serve-for-test.ts";

/** Resolves when the signal is aborted, with its reason. */
const aborted = (signal: AbortSignal): Promise<unknown> =>
  new Promise((resolve) => {
    signal.addEventListener("abort", () => resolve(signal.reason), { once: true });
  });

const outcomes = (): { observer: CallObserver; codes: string[]; next(count: number): Promise<void> } => {
  const codes: string[] = [];
  return {
    codes,
    observer: { started: () => {}, handled: (_method, _call, code) => codes.push(code) },
    next: async (count) => {
      while (codes.length < count) {
        await sleep(5);
      }
    },
  };
};

describe("a deadline", () => {
  test("aborts the handler's signal with DEADLINE_EXCEEDED, and the caller sees the same", async () => {
    let reason: Promise<unknown> | undefined;
    const seen = outcomes();
    const { client } = await serveForTest(
      {
        serverLive: async () => ({}),
        modelReady: async (_request, call) => {
          reason = aborted(call.signal);
          await sleep(60_000, undefined, { signal: call.signal });
          return {};
        },
      },
      { observer: seen.observer },
    );
    // Connected before, so that the deadline passes in the handler even on a busy machine.
    await client.serverLive({});
    await expect(client.modelReady({}, { timeoutMs: 1000 })).rejects.toMatchObject({
      code: "DEADLINE_EXCEEDED",
      reason: "DEADLINE_EXCEEDED",
    });
    expect(await reason).toMatchObject({ code: "DEADLINE_EXCEEDED", reasonName: "DEADLINE_EXCEEDED" });
    await seen.next(2);
    expect(seen.codes).toEqual(["OK", "DEADLINE_EXCEEDED"]);
  });

  test("is there on a call that names none", async () => {
    const { client } = await serveForTest({
      modelReady: async (_request, call) => ({ ready: call.deadlineMs !== undefined }),
      modelStreamInfer: async function* (_requests, call) {
        yield { errorMessage: String(call.deadlineMs !== undefined) };
      },
    });
    expect((await client.modelReady({})).ready).toBe(true);
    for await (const { errorMessage } of client.modelStreamInfer(none())) {
      expect(errorMessage).toBe("true");
    }
  });

  test("is absent only where it was asked for", async () => {
    const { client } = await serveForTest({
      modelReady: async (_request, call) => ({ ready: call.deadlineMs === undefined }),
    });
    expect((await client.modelReady({}, { timeoutMs: Number.POSITIVE_INFINITY })).ready).toBe(true);
  });

  test("travels on with the signal of the call, through a second service", async () => {
    let innerDeadlineMs: number | undefined;
    const inner = await serveForTest({
      modelReady: async (_request, call) => {
        innerDeadlineMs = call.deadlineMs;
        return { ready: true };
      },
    });
    let outerDeadlineMs: number | undefined;
    const outer = await serveForTest({
      modelReady: (request, call) => {
        outerDeadlineMs = call.deadlineMs;
        return inner.client.modelReady({ name: request.name }, { signal: call.signal, timeoutMs: 600_000 });
      },
    });
    await outer.client.modelReady({}, { timeoutMs: 5_000 });
    expect(outerDeadlineMs).toBeDefined();
    // The header counts what is left, so each hop may round.
    expect(Math.abs((innerDeadlineMs ?? 0) - (outerDeadlineMs ?? 0))).toBeLessThan(1_000);
  });
});

describe("a caller that gives up", () => {
  test("aborts the handler's signal with CANCELLED, also of the service behind", async () => {
    let innerReason: Promise<unknown> | undefined;
    let reached: () => void = () => {};
    const arrived = new Promise<void>((resolve) => {
      reached = resolve;
    });
    const failures: CallFailure[] = [];
    const inner = await serveForTest({
      modelReady: async (_request, call) => {
        innerReason = aborted(call.signal);
        reached();
        await sleep(60_000, undefined, { signal: call.signal });
        return {};
      },
    });
    const outer = await serveForTest(
      { modelReady: (request, call) => inner.client.modelReady({ name: request.name }, { signal: call.signal }) },
      { onFailure: (failure) => failures.push(failure) },
    );
    const caller = new AbortController();
    const call = outer.client.modelReady({}, { signal: caller.signal });
    await arrived;
    caller.abort();
    await expect(call).rejects.toMatchObject({ code: "CANCELLED" });
    expect(await innerReason).toMatchObject({ code: "CANCELLED", reasonName: "CANCELLED" });
    expect(failures).toEqual([]);
  });

  test("before the call sees CANCELLED, and nothing is sent", async () => {
    let calls = 0;
    const { client } = await serveForTest({
      modelReady: async () => {
        calls += 1;
        return {};
      },
    });
    await expect(client.modelReady({}, { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: "CANCELLED" });
    expect(calls).toBe(0);
  });

  test("ends an answering stream and runs the handler's clean-up", async () => {
    let cleaned: () => void = () => {};
    const clean = new Promise<void>((resolve) => {
      cleaned = resolve;
    });
    const seen = outcomes();
    const { client } = await serveForTest(
      {
        modelStreamInfer: async function* (_requests, call: CallContext) {
          try {
            for (let at = 0; ; at += 1) {
              yield { errorMessage: String(at) };
              await sleep(1, undefined, { signal: call.signal });
            }
          } finally {
            cleaned();
          }
        },
      },
      { observer: seen.observer },
    );
    let count = 0;
    for await (const _answer of client.modelStreamInfer(open())) {
      count += 1;
      if (count === 3) {
        break;
      }
    }
    await clean;
    await seen.next(1);
    expect(seen.codes).toEqual(["CANCELLED"]);
  });
});

describe("the trace of a call", () => {
  test("goes on from the caller's header to the service behind, with a new span at each hop", async () => {
    const headers: string[] = [];
    const inner = await serveForTest({
      modelReady: async (_request, call) => {
        headers.push(String(call.metadata.get("traceparent")[0]));
        return {};
      },
    });
    const outer = await serveForTest({
      modelReady: async (request, call) => {
        expect(currentCall()).toBe(call);
        await sleep(1);
        expect(currentCall()?.traceId).toBe("4bf92f3577b34da6a3ce929d0e0e4736");
        return inner.client.modelReady({ name: request.name });
      },
    });
    const traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    await outer.client.modelReady({}, { metadata: { traceparent } });
    expect(headers[0]).toMatch(/^00-4bf92f3577b34da6a3ce929d0e0e4736-[0-9a-f]{16}-01$/);
    expect(headers[0]).not.toContain("00f067aa0ba902b7");
  });
});

const none = async function* () {};

const open = async function* () {
  await new Promise<never>(() => {});
};
