import { OnnxSession } from "@millrace/tensor/onnxruntime";

/**
 * The thread of a model instance that ends in a way that the first value of its input says: -1 leaves the thread, -2 is
 * an error that nobody catches, -3 takes all memory of the thread's heap, -4 leaves it
 * after half a second. Other values run as usual.
 */
const { run } = OnnxSession.prototype;
OnnxSession.prototype.run = function (inputs, into) {
  const [input] = inputs;
  const value = input === undefined ? 0 : (new Float32Array(input.data.slice().buffer)[0] ?? 0);
  if (value === -1) process.exit(7);
  if (value === -2) {
    queueMicrotask(() => {
      throw new Error("a defect of the runtime");
    });
    return new Promise(() => {});
  }
  if (value === -4) {
    setTimeout(() => process.exit(7), 500);
    return new Promise(() => {});
  }
  if (value === -3) {
    const kept: string[][] = [];
    for (;;) kept.push(Array.from({ length: 100_000 }, (_, index) => `${kept.length} ${index}`));
  }
  return run.call(this, inputs, into);
};

await import("../src/execution/model-worker.ts");
