// Prints what the knobs of execution do to a model on this machine: `node test/measure-execution.ts`.
import type { Tensor } from "@millrace/tensor";
import { OnnxSession } from "@millrace/tensor/onnxruntime";
import type { LaneOptions } from "../src/execution/lane-options.ts";
import type { ModelLane } from "../src/execution/model-lane.ts";
import { ResponseCache } from "../src/execution/response-cache.ts";
import { floatRows, inferred, laneOf, steps } from "./lane-of.ts";
import { loopModel } from "./loop-model.ts";
import { denseModel, scaleModel } from "./models.ts";

const median = (values: number[]): number => values.sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
const timed = async (action: () => Promise<unknown>): Promise<number> => {
  const startedMs = performance.now();
  await action();
  return performance.now() - startedMs;
};
/** The median of several times, in ms, after some that do not count. */
const typical = async (action: () => Promise<unknown>, times = 15): Promise<number> => {
  for (let warmUp = 0; warmUp < 3; warmUp++) await action();
  const each: number[] = [];
  for (let time = 0; time < times; time++) each.push(await timed(action));
  return median(each);
};
const withLane = async <T>(
  model: Uint8Array,
  options: Partial<LaneOptions>,
  parts: Parameters<typeof laneOf>[2],
  use: (lane: ModelLane) => Promise<T>,
): Promise<T> => {
  const lane = await laneOf(model, options, parts);
  try {
    return await use(lane);
  } finally {
    await lane.close();
  }
};
const say = (what: string, ms: number, digits = 2) => console.log(`${what}: ${ms.toFixed(digits)} ms`);
const denseRow = (): Tensor[] => [{ name: "x", datatype: "FP32", shape: [1, 256], data: new Uint8Array(1024) }];

const dense = denseModel(256, 512);
for (const maxBatchSize of [1, 8, 64]) {
  const ms = await withLane(dense, { maxBatchSize, batched: maxBatchSize > 1 }, {}, (lane) =>
    typical(() => Promise.all(Array.from({ length: 256 }, () => inferred(lane, denseRow())))),
  );
  say(`256 requests of a row at once, at most ${maxBatchSize} in a batch`, ms);
}
for (const instances of [1, 2]) {
  const ms = await withLane(loopModel(), { batched: false }, { instances }, (lane) =>
    typical(() => Promise.all(Array.from({ length: 8 }, () => inferred(lane, steps(5000)))), 5),
  );
  say(`8 requests at once to a model that is not batched, ${instances} instances`, ms);
}
for (const maxQueueDelayMs of [0, 5]) {
  const ms = await withLane(dense, { maxBatchSize: 64, maxQueueDelayMs }, {}, (lane) =>
    typical(() => inferred(lane, denseRow())),
  );
  say(`a lone request, max queue delay ${maxQueueDelayMs} ms`, ms);
}
await withLane(dense, { maxBatchSize: 8, maxQueueDelayMs: 50, preferredBatchSizes: [4] }, {}, async (lane) => {
  say(
    "4 requests, max queue delay 50 ms, preferred batch size 4",
    await typical(() => Promise.all([1, 2, 3, 4].map(() => inferred(lane, denseRow())))),
  );
});
for (const priority of [2, 1]) {
  const ms = await withLane(loopModel(), { batched: false, priorityLevels: 2 }, {}, async (lane) => {
    const others = Array.from({ length: 20 }, () => inferred(lane, steps(5000), { priority: 2 }));
    await new Promise((resolve) => setImmediate(resolve));
    const own = await timed(() => inferred(lane, steps(5000), { priority }));
    await Promise.all(others);
    return own;
  });
  say(`a request of priority ${priority} behind 20 of priority 2`, ms);
}
const cache = new ResponseCache({ maxBytes: 1 << 20, timeToLiveMs: undefined });
await withLane(loopModel(), { batched: false }, { cache }, async (lane) => {
  say("a request of which the cache has no answer", await timed(() => inferred(lane, steps(20_000))));
  say("the same request once it has", await typical(() => inferred(lane, steps(20_000))), 3);
});
const tiny = await OnnxSession.create(scaleModel(2));
const [x] = floatRows(1);
if (x === undefined) throw new Error("There is no input.");
const inThread = await typical(() => tiny.run([x]), 501);
await tiny.close();
const throughLane = await withLane(scaleModel(2), {}, {}, (lane) => typical(() => inferred(lane, [x]), 501));
say("a run of a tiny model in the calling thread", inThread, 3);
say("the same through the lane and its worker", throughLane, 3);
