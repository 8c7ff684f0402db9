// Prints what an instance of a model takes beside its model's bytes: `node --expose-gc test/measure-memory.ts`.
import { setTimeout } from "node:timers/promises";
import { GraphBuilder } from "@millrace/onnx";
import { sharedBytes } from "../src/execution/lend-bytes.ts";
import { ModelInstance } from "../src/execution/model-instance.ts";

const mebibyte = 1024 * 1024;

/** One dense layer of so many MiB of weights. */
const model = (megabytes: number): Uint8Array => {
  const width = Math.round(Math.sqrt((megabytes * mebibyte) / 4));
  const graph = new GraphBuilder("dense");
  const x = graph.input("x", "FP32", ["rows", width]);
  const weights = graph.constant("FP32", new Float32Array(width * width).fill(0.01), [width, width]);
  graph.output("y", graph.node("MatMul", [x, weights]), "FP32", ["rows", width]);
  return graph.toBytes();
};

const resident = async (): Promise<number> => {
  for (let look = 0; look < 3; look++) {
    globalThis.gc?.();
    await setTimeout(300);
  }
  return process.memoryUsage.rss() / mebibyte;
};

for (const megabytes of [0.01, 16, 64]) {
  const bytes = sharedBytes(model(megabytes));
  const options = { intraOpThreads: 1, maxRunTimeMs: 60_000, onChange() {} };
  const instances = [await ModelInstance.start(bytes, options)];
  const one = await resident();
  for (let more = 0; more < 3; more++) instances.push(await ModelInstance.start(bytes, options));
  const each = ((await resident()) - one) / 3;
  console.log(`${megabytes} MiB of weights: ${each.toFixed(1)} MiB for each further instance`);
  for (const instance of instances) await instance.close();
}
