import { setTimeout as sleep } from "node:timers/promises";
import { Health, HealthCheckResponse_ServingStatus } from "@millrace/contracts/grpc/health/v1/health";
import { describe, expect, test } from "vitest";
import { createClient } from "../src/index.ts";
import { serveForTest } from "./serve-for-test.ts";

const gate = (): { open: () => void; opened: Promise<void> } => {
  let open: () => void = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { open: () => open(), opened };
};

describe("a server that drains", () => {
  test("lets unary calls end, takes no new ones, and says that all ended", async () => {
    const begun = gate();
    const finish = gate();
    const { server, client } = await serveForTest({
      modelReady: async () => {
        begun.open();
        await finish.opened;
        return { ready: true };
      },
    });
    const call = client.modelReady({});
    await begun.opened;
    const drained = server.drain({ limitMs: 20_000 });
    await expect(client.modelReady({ name: "late" }, { timeoutMs: 500 })).rejects.toMatchObject({
      code: expect.stringMatching(/^(UNAVAILABLE|DEADLINE_EXCEEDED)$/),
    });
    finish.open();
    expect((await call).ready).toBe(true);
    expect(await drained).toBe(true);
  });

  test("ends a stream after its current answer, with UNAVAILABLE and the reason STOPPING", async () => {
    const asked = gate();
    const finish = gate();
    const { server, client } = await serveForTest({
      modelStreamInfer: async function* (requests) {
        for await (const { id } of requests) {
          if (id === "second") {
            asked.open();
            await finish.opened;
          }
          yield { inferResponse: { id } };
        }
      },
    });
    const requests = async function* () {
      yield { id: "first" };
      yield { id: "second" };
      await new Promise<never>(() => {});
    };
    const ids: (string | undefined)[] = [];
    const read = async () => {
      for await (const answer of client.modelStreamInfer(requests())) {
        ids.push(answer.inferResponse?.id);
      }
    };
    const reading = read();
    reading.catch(() => {});
    await asked.opened;
    const drained = server.drain({ limitMs: 20_000, streamGraceMs: 20_000 });
    finish.open();
    await expect(reading).rejects.toMatchObject({ code: "UNAVAILABLE", reason: "STOPPING", retryAfterMs: 1000 });
    expect(ids).toEqual(["first", "second"]);
    expect(await drained).toBe(true);
  });

  test("ends a stream that has no answer to give when its grace is over", async () => {
    const { server, client } = await serveForTest({
      modelStreamInfer: async function* (_requests, call) {
        yield { errorMessage: "here" };
        await sleep(60_000, undefined, { signal: call.signal });
      },
    });
    const answers = client.modelStreamInfer(never())[Symbol.asyncIterator]();
    expect((await answers.next()).value?.errorMessage).toBe("here");
    const drained = server.drain({ limitMs: 20_000, streamGraceMs: 50 });
    await expect(answers.next()).rejects.toMatchObject({ code: "UNAVAILABLE", reason: "STOPPING" });
    expect(await drained).toBe(true);
  });

  test("cuts off at the limit what does not listen, and says so", async () => {
    const begun = gate();
    const { server, client } = await serveForTest({
      modelReady: async () => {
        begun.open();
        await new Promise<never>(() => {});
        return {};
      },
    });
    const call = client.modelReady({});
    call.catch(() => {});
    await begun.opened;
    expect(await server.drain({ limitMs: 100 })).toBe(false);
    await expect(call).rejects.toMatchObject({ code: expect.stringMatching(/^(UNAVAILABLE|CANCELLED|INTERNAL)$/) });
  });

  test("tells those who watch its health, and ends their watch", async () => {
    const { server, channel } = await serveForTest({});
    const health = createClient(Health, channel);
    const watch = health.watch({ service: "" })[Symbol.asyncIterator]();
    expect((await watch.next()).value?.status).toBe(HealthCheckResponse_ServingStatus.SERVING);
    server.health.setAll(false);
    expect((await watch.next()).value?.status).toBe(HealthCheckResponse_ServingStatus.NOT_SERVING);
    const unknown = health.watch({ service: "x" })[Symbol.asyncIterator]();
    expect((await unknown.next()).value?.status).toBe(HealthCheckResponse_ServingStatus.SERVICE_UNKNOWN);
    server.health.set("x", true);
    expect((await unknown.next()).value?.status).toBe(HealthCheckResponse_ServingStatus.SERVING);
    const { statuses } = await health.list({});
    expect(statuses.x?.status).toBe(HealthCheckResponse_ServingStatus.SERVING);
    const drained = server.drain({ limitMs: 20_000, streamGraceMs: 20_000 });
    expect((await watch.next()).done).toBe(true);
    expect((await unknown.next()).done).toBe(true);
    expect(await drained).toBe(true);
  });
});

const never = async function* () {
  await new Promise<never>(() => {});
};
