import { afterEach, describe, expect, test } from "vitest";
import { floatRows, inferred, steps } from "../../test/lane-of.ts";
import { loopModel } from "../../test/loop-model.ts";
import { scaleModel } from "../../test/models.ts";
import { InstanceSupervisor } from "./instance-supervisor.ts";
import { instancesBytes, MemoryBudget } from "./memory-budget.ts";
import { ModelInstance } from "./model-instance.ts";
import { ModelLane } from "./model-lane.ts";
import { ModelStatistics } from "./model-statistics.ts";

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

interface Supervised {
  readonly lane: ModelLane;
  readonly told: string[];
  readonly memory: MemoryBudget;
  /** Resolves when something was told so often. */
  telling(what: string, times?: number): Promise<void>;
}

const supervised = async (
  model: Uint8Array,
  {
    count = 1,
    maxRunTimeMs = 60_000,
    instancesOfMemory = Infinity,
    script = undefined as URL | undefined,
    batched = true,
  },
): Promise<Supervised> => {
  const told: string[] = [];
  const waiting = new Set<() => void>();
  const tell = (text: string) => {
    told.push(text);
    for (const look of waiting) look();
  };
  const memory = new MemoryBudget(instancesOfMemory * instancesBytes(model.length, 1));
  const release = memory.take("the model", count * instancesBytes(model.length, 1));
  const statistics = new ModelStatistics();
  const supervisor = new InstanceSupervisor({
    count,
    start: (onChange) =>
      ModelInstance.start(model, { intraOpThreads: 1, maxRunTimeMs, onChange, script, maxHeapMb: 32 }),
    takeMemory: () => memory.take("another instance", instancesBytes(model.length, 1)),
    statistics,
    observer: {
      onLost: (error) => tell(`lost: ${error instanceof Error ? error.message : error}`),
      onWedged: (standsIn) => tell(`wedged, ${standsIn ? "another stands in" : "no room for another"}`),
      onReplaced: () => tell("replaced"),
      onFailed: (error) => tell(`failed: ${error}`),
    },
  });
  await supervisor.start();
  const lane = new ModelLane({ maxBatchSize: 8, maxQueueDelayMs: 0, maxQueueSize: 100, batched }, statistics, {
    retireInstances: async () => {
      await supervisor.close();
      release();
    },
  });
  supervisor.serve(lane);
  closers.push(() => lane.close());
  const telling = (what: string, times = 1) =>
    new Promise<void>((resolve) => {
      const look = () => {
        if (told.filter((text) => text.startsWith(what)).length < times) return;
        waiting.delete(look);
        resolve();
      };
      waiting.add(look);
      look();
    });
  return { lane, told, memory, telling };
};

describe("a worker whose thread ends", () => {
  const script = new URL("../../test/faulty-worker.ts", import.meta.url);

  test.each([
    ["by leaving", -1, /it exited with 7/],
    ["by an error that nobody catches", -2, /a defect of the runtime/],
    ["out of memory", -3, /memory/],
  ])(
    "%s fails its run with the reason, and another takes its place",
    async (_, value, message) => {
      const { lane, told, telling } = await supervised(scaleModel(2), { script });
      await expect(inferred(lane, floatRows(value))).rejects.toMatchObject({
        code: "INTERNAL",
        reasonName: "MODEL_FAILED",
        message: expect.stringMatching(message),
      });
      expect(lane.alive).toBe(false);
      await expect(inferred(lane, floatRows(1))).rejects.toMatchObject({ code: "UNAVAILABLE" });
      await telling("replaced");
      expect(await inferred(lane, floatRows(4))).toMatchObject([{ shape: [1, 1] }]);
      expect(told).toEqual([expect.stringMatching(message), "replaced"]);
      expect(lane.statistics.instances).toEqual({ lost: 1, wedged: 0, replaced: 1 });
    },
    60_000,
  );

  test("leaves the model available while another lives", async () => {
    const { lane, telling } = await supervised(scaleModel(2), { count: 2, script });
    await expect(inferred(lane, floatRows(-1))).rejects.toMatchObject({ code: "INTERNAL" });
    expect(lane.alive).toBe(true);
    expect(await inferred(lane, floatRows(4))).toHaveLength(1);
    await telling("replaced");
    expect(lane.instances).toHaveLength(2);
  }, 60_000);
});

describe("a worker that is wedged", () => {
  const model = loopModel();
  const options = { maxRunTimeMs: 150, batched: false };
  const long = 600_000;

  test("has another stand in for it, which is one too many when the run returns", async () => {
    const { lane, told, memory, telling } = await supervised(model, { ...options, instancesOfMemory: 2 });
    const before = memory.takenBytes;
    await expect(inferred(lane, steps(long))).rejects.toMatchObject({ code: "UNAVAILABLE" });
    await telling("replaced");
    expect(await inferred(lane, steps(1))).toHaveLength(1);
    expect(memory.takenBytes).toBe(2 * before);
    while (memory.takenBytes > before) await new Promise((resolve) => setTimeout(resolve, 20));
    expect(lane.instances).toHaveLength(1);
    expect(await inferred(lane, steps(1))).toHaveLength(1);
    expect(told).toEqual(["wedged, another stands in", "replaced"]);
  }, 60_000);

  test("is waited for where the memory budget has no room for another", async () => {
    const { lane, told } = await supervised(model, { ...options, instancesOfMemory: 1 });
    await expect(inferred(lane, steps(long))).rejects.toMatchObject({ code: "UNAVAILABLE" });
    await expect(inferred(lane, steps(1))).rejects.toMatchObject({ code: "UNAVAILABLE" });
    while (!lane.alive) await new Promise((resolve) => setTimeout(resolve, 20));
    expect(await inferred(lane, steps(1))).toHaveLength(1);
    expect(told).toEqual(["wedged, no room for another"]);
  }, 60_000);
});

describe("beyond its instances a supervisor holds memory for the threads that live or start, and no more", () => {
  /** Runs of a loop in threads of their own, so that a test chooses when one is wedged, returns or ends. */
  const looped = async (script?: URL) => {
    const memory = new MemoryBudget(Infinity);
    const statistics = new ModelStatistics();
    const failed: number[] = [];
    const started: ModelInstance[] = [];
    const gates: (() => Promise<void>)[] = [];
    const supervisor = new InstanceSupervisor({
      count: 1,
      start: async (onChange) => {
        await gates.shift()?.();
        const instance = await ModelInstance.start(script === undefined ? loopModel() : scaleModel(2), {
          intraOpThreads: 1,
          maxRunTimeMs: 60,
          onChange,
          script,
        });
        started.push(instance);
        return instance;
      },
      takeMemory: () => memory.take("another instance", 1),
      statistics,
      observer: { onLost() {}, onWedged() {}, onReplaced() {}, onFailed: (_, retryInMs) => failed.push(retryInMs) },
    });
    await supervisor.start();
    const lane = new ModelLane({ maxBatchSize: 1, maxQueueDelayMs: 0, maxQueueSize: 100, batched: false }, statistics, {
      retireInstances: () => supervisor.close(),
    });
    supervisor.serve(lane);
    closers.push(() => lane.close());
    return { memory, failed, started, gates, lane };
  };
  const long = 300_000;
  const until = async (holds: () => boolean) => {
    while (!holds()) await new Promise((resolve) => setTimeout(resolve, 10));
  };

  test("where the run returns while its stand-in still starts", async () => {
    const { memory, started, gates, lane } = await looped();
    const gate = Promise.withResolvers<void>();
    gates.push(() => gate.promise);
    await expect(inferred(lane, steps(long))).rejects.toMatchObject({ code: "UNAVAILABLE" });
    expect(memory.takenBytes).toBe(1);
    await until(() => lane.alive);
    gate.resolve();
    await until(() => started.length === 2 && memory.takenBytes === 0);
    expect(lane.instances).toEqual([started[0]]);
  }, 30_000);

  test("where every run is wedged: no more stand in than it has instances", async () => {
    const { memory, started, lane } = await looped();
    await expect(inferred(lane, steps(5 * long))).rejects.toMatchObject({ code: "UNAVAILABLE" });
    await until(() => started.length === 2 && lane.alive);
    await expect(inferred(lane, steps(5 * long))).rejects.toMatchObject({ code: "UNAVAILABLE" });
    expect(memory.takenBytes).toBe(1);
    expect(lane.alive).toBe(false);
    await until(() => memory.takenBytes === 0);
    expect(started).toHaveLength(2);
  }, 30_000);

  test("where the stand-in fails to start: a wedged one may return, and no retry is told of", async () => {
    const { memory, failed, gates, lane } = await looped();
    gates.push(() => Promise.reject(new Error("no thread")));
    await expect(inferred(lane, steps(long))).rejects.toMatchObject({ code: "UNAVAILABLE" });
    await until(() => failed.length === 1);
    expect(failed).toEqual([0]);
    expect(memory.takenBytes).toBe(0);
    await until(() => lane.alive);
  }, 30_000);

  test("where the wedged one is lost while its stand-in starts, which fails: another is started", async () => {
    const { memory, failed, started, gates, lane } = await looped(
      new URL("../../test/faulty-worker.ts", import.meta.url),
    );
    const gate = Promise.withResolvers<void>();
    gates.push(() => gate.promise);
    await expect(inferred(lane, floatRows(-4))).rejects.toMatchObject({ code: "UNAVAILABLE" });
    await until(() => lane.instances.length === 0);
    expect(memory.takenBytes).toBe(0);
    gate.reject(new Error("no thread"));
    await until(() => started.length === 2 && lane.alive);
    expect(failed).toEqual([expect.any(Number)]);
    expect(failed[0]).toBeGreaterThan(0);
    expect(memory.takenBytes).toBe(0);
  }, 30_000);
});
