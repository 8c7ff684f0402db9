import { GraphBuilder } from "@millrace/onnx";
import { bytesOf, type Datatype, elementBytes, encodeStrings, type Tensor } from "@millrace/tensor";
import { afterEach, describe, expect, test } from "vitest";
import { floatRows, inferred, laneOf, steps } from "../../test/lane-of.ts";
import { loopModel } from "../../test/loop-model.ts";
import { identityModel, openWidthModel, scaleModel } from "../../test/models.ts";
import type { InferOptions } from "./lane-options.ts";
import type { ModelLane } from "./model-lane.ts";
import { ResponseCache } from "./response-cache.ts";

const open: ModelLane[] = [];
const opened: typeof laneOf = async (...parts) => {
  const lane = await laneOf(...parts);
  open.push(lane);
  return lane;
};

afterEach(async () => {
  for (const lane of open.splice(0)) await lane.close();
});

/** Steps of the loop that take long enough for others to come meanwhile. */
const aWhile = 40_000;

/** Runs the loop for each, and answers the names in the order in which they were answered or failed. */
const finishing = async (
  lane: ModelLane,
  requests: readonly { readonly name: string; readonly count?: number; readonly options?: InferOptions }[],
): Promise<string[]> => {
  const order: string[] = [];
  await Promise.all(
    requests.map(({ name, count = 1, options }) =>
      inferred(lane, steps(count), options).then(
        () => order.push(name),
        (error: { code: string }) => order.push(`${name} ${error.code}`),
      ),
    ),
  );
  return order;
};

describe("levels of priority", () => {
  test("let a higher one pass those that wait", async () => {
    const lane = await opened(loopModel(), { batched: false, priorityLevels: 2 });
    const first = inferred(lane, steps(aWhile));
    while (lane.waiting > 0) await new Promise((resolve) => setImmediate(resolve));
    const order = await finishing(lane, [
      { name: "usual" },
      { name: "low", options: { priority: 2 } },
      { name: "high", options: { priority: 1 } },
    ]);
    await first;
    expect(order).toEqual(["high", "usual", "low"]);
  });
});

describe("a queue's timeout", () => {
  const policy = { timeoutAction: "REJECT", defaultTimeoutMs: 0, allowTimeoutOverride: true, maxQueueSize: 0 } as const;

  test("rejects while the only instance is still busy, and is no deadline of the caller", async () => {
    const lane = await opened(loopModel(), { batched: false, queuePolicy: policy });
    const order = await finishing(lane, [
      { name: "running", count: aWhile * 5 },
      { name: "hasty", options: { queueTimeoutMs: 5 } },
      { name: "patient" },
    ]);
    expect(order).toEqual(["hasty UNAVAILABLE", "running", "patient"]);
    expect(lane.statistics.failures).toMatchObject({ REJECTED: 1 });
  });

  test("says so in Triton's words", async () => {
    const lane = await opened(loopModel(), { batched: false, queuePolicy: policy });
    const first = inferred(lane, steps(aWhile));
    await expect(inferred(lane, steps(1), { queueTimeoutMs: 1 })).rejects.toMatchObject({
      code: "UNAVAILABLE",
      reasonName: "OVERLOADED",
      message: expect.stringMatching(/^Request timeout expired/),
    });
    await first;
  });

  test("of a request is not heard where the policy does not allow it", async () => {
    const lane = await opened(loopModel(), { batched: false });
    const order = await finishing(lane, [
      { name: "running", count: aWhile },
      { name: "hasty", options: { queueTimeoutMs: 1 } },
    ]);
    expect(order).toEqual(["running", "hasty"]);
  });

  test("that delays puts the late behind the others", async () => {
    const delay = { ...policy, timeoutAction: "DELAY" } as const;
    const lane = await opened(loopModel(), { batched: false, queuePolicy: delay });
    const order = await finishing(lane, [
      { name: "running", count: aWhile * 2 },
      { name: "late", options: { queueTimeoutMs: 1 } },
      { name: "other" },
    ]);
    expect(order).toEqual(["running", "other", "late"]);
  });

  test("that delays has the late answered also where answers leave in order", async () => {
    const delay = { ...policy, timeoutAction: "DELAY" } as const;
    const lane = await opened(loopModel(), { batched: false, queuePolicy: delay, preserveOrdering: true });
    const order = await finishing(lane, [
      { name: "running", count: aWhile * 2 },
      { name: "late", options: { queueTimeoutMs: 1 } },
      { name: "other" },
    ]);
    expect(order).toEqual(["running", "other", "late"]);
  });
});

describe("a queue's timeout behind a longer one", () => {
  const within = (defaultTimeoutMs: number) =>
    ({ timeoutAction: "REJECT", defaultTimeoutMs, allowTimeoutOverride: true, maxQueueSize: 0 }) as const;

  test("is told when it passes, however long those that came before may wait", async () => {
    const lane = await opened(loopModel(), {
      batched: false,
      priorityLevels: 2,
      levelQueuePolicies: { 1: within(10), 2: within(60_000) },
    });
    const order: string[] = [];
    const running = inferred(lane, steps(aWhile * 5)).then(() => order.push("running"));
    const patient = inferred(lane, steps(1), { priority: 2 }).then(() => order.push("patient"));
    // The timer is armed in the turn after: the hasty one comes later.
    for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
    await expect(inferred(lane, steps(1), { priority: 1 })).rejects.toMatchObject({ code: "UNAVAILABLE" });
    expect(order).toEqual([]);
    await Promise.all([running, patient]);
  });

  test("of more than a timer takes does not go off at once", async () => {
    const warnings: string[] = [];
    const onWarning = ({ name }: Error) => warnings.push(name);
    process.on("warning", onWarning);
    const lane = await opened(loopModel(), { batched: false, queuePolicy: within(0) });
    const order = await finishing(lane, [
      { name: "running", count: aWhile },
      { name: "patient", options: { queueTimeoutMs: 2 ** 40 } },
    ]);
    process.off("warning", onWarning);
    expect([order, warnings]).toEqual([["running", "patient"], []]);
  });
});

describe("when the last instance is lost", () => {
  test("requests that wait for company are told, however long they would wait", async () => {
    const lane = await opened(scaleModel(3), { maxQueueDelayMs: 60_000 });
    const [instance] = lane.instances;
    if (instance === undefined) throw new Error("The lane has no instance.");
    const waits = [floatRows(1), floatRows(1, 2)].map((x) => inferred(lane, x).catch((error: unknown) => error));
    for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
    lane.remove(instance);
    await instance.close();
    const error = expect.objectContaining({ code: "UNAVAILABLE", reasonName: "MODEL_NOT_READY" });
    expect(await Promise.all(waits)).toEqual([error, error]);
    expect(lane.waiting).toBe(0);
  });
});

describe("answers of several instances", () => {
  const requests = [{ name: "long", count: aWhile }, { name: "short" }, { name: "shorter" }];

  test("leave as they are ready", async () => {
    const lane = await opened(loopModel(), { batched: false }, { instances: 2 });
    expect(await finishing(lane, requests)).toEqual(["short", "shorter", "long"]);
  });

  test("leave in the order of their requests where that is asked for, whatever fails between them", async () => {
    const lane = await opened(loopModel(), { batched: false, preserveOrdering: true }, { instances: 2 });
    const order = await finishing(lane, [...requests, { name: "cancelled", options: { signal: AbortSignal.abort() } }]);
    expect(order).toEqual(["cancelled CANCELLED", "long", "short", "shorter"]);
  });
});

describe("a request that would be late", () => {
  const options = { batched: false } as const;
  const inMs = (ms: number) => ({ deadlineMs: Date.now() + ms });

  test("is refused on arrival once runs were measured, and taken while none were", async () => {
    const lane = await opened(loopModel(), options);
    const first = inferred(lane, steps(aWhile * 3), inMs(60_000));
    // Nothing is known yet: it waits, and its deadline passes in the queue.
    const early = inferred(lane, steps(1), inMs(1)).catch((error: unknown) => error);
    expect(await early).toMatchObject({ code: "DEADLINE_EXCEEDED" });
    await first;
    const second = inferred(lane, steps(aWhile * 3), inMs(60_000));
    await new Promise((resolve) => setImmediate(resolve));
    await expect(inferred(lane, steps(1), inMs(1))).rejects.toMatchObject({
      code: "RESOURCE_EXHAUSTED",
      reasonName: "OVERLOADED",
      details: { retryAfterMs: expect.any(Number) },
      message: expect.stringMatching(/deadline is in/),
    });
    await second;
  });

  test("is run where nothing is ahead of it, however long runs were: so the estimate recovers", async () => {
    const lane = await opened(loopModel(), options);
    await inferred(lane, steps(aWhile * 3));
    for (let run = 0; run < 12; run++) await inferred(lane, steps(1), inMs(1000));
    const busy = inferred(lane, steps(aWhile));
    await new Promise((resolve) => setImmediate(resolve));
    await expect(inferred(lane, steps(1), inMs(60_000))).resolves.toHaveLength(1);
    await busy;
  });
});

describe("the response cache", () => {
  test("answers equal inputs without a run, and counts hits as Triton does", async () => {
    const cache = new ResponseCache({ maxBytes: 1 << 20, timeToLiveMs: undefined });
    const lane = await opened(scaleModel(3), {}, { cache });
    const first = await inferred(lane, floatRows(1, 2));
    expect(await inferred(lane, floatRows(1, 2))).toEqual(first);
    expect(await inferred(lane, floatRows(1, 3))).not.toEqual(first);
    const { statistics } = lane;
    expect(statistics).toMatchObject({ executions: 2, inferences: 6, success: { count: 3 } });
    expect([statistics.cacheHit.count, statistics.cacheMiss.count]).toEqual([1, 2]);
    expect(statistics.cacheHit.ns).toBeGreaterThan(0);
  });

  test("is passed by where a caller asks for it", async () => {
    const cache = new ResponseCache({ maxBytes: 1 << 20, timeToLiveMs: undefined });
    const lane = await opened(scaleModel(3), {}, { cache });
    for (let call = 0; call < 2; call++) await inferred(lane, floatRows(1), { bypassCache: true });
    expect(lane.statistics).toMatchObject({ executions: 2, cacheHit: { count: 0 }, cacheMiss: { count: 0 } });
  });
});

describe("an answer of the cache", () => {
  const kept = () => ({ cache: new ResponseCache({ maxBytes: 1 << 20, timeToLiveMs: undefined }) });
  const requests = [{ name: "run", count: aWhile }, { name: "kept" }];

  test("overtakes a run that began before it", async () => {
    const lane = await opened(loopModel(), { batched: false }, kept());
    await inferred(lane, steps(1));
    expect(await finishing(lane, requests)).toEqual(["kept", "run"]);
  });

  test("waits for it where answers leave in order", async () => {
    const lane = await opened(loopModel(), { batched: false, preserveOrdering: true }, kept());
    await inferred(lane, steps(1));
    expect(await finishing(lane, requests)).toEqual(["run", "kept"]);
    expect(lane.statistics).toMatchObject({ cacheHit: { count: 1 }, success: { count: 3 } });
  });

  test("that cannot be read holds up nobody where answers leave in order", async () => {
    const lane = await opened(loopModel(), { batched: false, preserveOrdering: true }, kept());
    await inferred(lane, steps(1));
    const unread = lane.infer(steps(1), 1, {}, () => {
      throw new RangeError("too large");
    });
    await expect(unread).rejects.toThrow("too large");
    await expect(inferred(lane, steps(2))).resolves.toHaveLength(1);
  });
});

describe("a batch that failed and is run again one by one", () => {
  test("tells those behind one that wedges the instance that it is wedged", async () => {
    const lane = await opened(loopModel("rows"), {}, { maxRunTimeMs: 300 });
    const [instance] = lane.instances;
    const errors = [1, 1_500_000, 1].map((count) => inferred(lane, steps(count)).catch((error: unknown) => error));
    const wedged = expect.objectContaining({ code: "UNAVAILABLE", reasonName: "MODEL_NOT_READY" });
    expect(await Promise.all(errors)).toEqual([[expect.objectContaining({ name: "y" })], wedged, wedged]);
    expect(lane.statistics.failures).toMatchObject({ BACKEND: 2 });
    while (instance?.state === "wedged") await new Promise((resolve) => setTimeout(resolve, 20));
  });
});

describe("tensors of every kind", () => {
  // Each of the others goes through a whole service in test/open-inference.test.ts.
  const datatypes = ["FP16", "BYTES", "BOOL"] as const satisfies Datatype[];

  test.each(datatypes)("%s, with rows, without rows, and joined", async (datatype) => {
    const lane = await opened(identityModel(datatype));
    const data = (rows: number) =>
      datatype === "BYTES"
        ? encodeStrings(Array.from({ length: rows * 2 }, (_, at) => "é".repeat(at % 3)))
        : Uint8Array.from({ length: rows * 2 * elementBytes[datatype] }, (_, at) => at % 2);
    const x = (rows: number): Tensor[] => [{ name: "x", datatype, shape: [rows, 2], data: data(rows) }];
    const answers = await Promise.all([0, 1, 3, 0, 2].map((rows) => inferred(lane, x(rows))));
    expect(answers.map(([y]) => [y?.shape[0], y?.data])).toEqual([0, 1, 3, 0, 2].map((rows) => [rows, data(rows)]));
  });

  test("no columns", async () => {
    const lane = await opened(openWidthModel());
    const [y] = await inferred(lane, [{ name: "x", datatype: "FP32", shape: [3, 0], data: new Uint8Array() }]);
    expect(y).toEqual({ name: "y", datatype: "FP32", shape: [3, 0], data: new Uint8Array() });
  });

  test("NaN and infinities, as they are", async () => {
    const lane = await opened(scaleModel(1));
    const [y] = await inferred(lane, floatRows(Number.NaN, Infinity, -Infinity));
    expect([...new Float32Array(y?.data.buffer ?? new ArrayBuffer())]).toEqual([Number.NaN, Infinity, -Infinity]);
  });

  test("scalars, several inputs and several outputs", async () => {
    const graph = new GraphBuilder("scalars");
    const a = graph.input("a", "FP32", []);
    const b = graph.input("b", "FP32", []);
    graph.output("sum", graph.node("Add", [a, b]), "FP32", []);
    graph.output("product", graph.node("Mul", [a, b]), "FP32", []);
    const lane = await opened(graph.toBytes(), { batched: false });
    const scalar = (name: string, value: number) => ({
      name,
      datatype: "FP32" as const,
      shape: [],
      data: bytesOf(Float32Array.of(value)),
    });
    expect(await inferred(lane, [scalar("a", 3), scalar("b", 4)])).toEqual([scalar("sum", 7), scalar("product", 12)]);
  });
});
