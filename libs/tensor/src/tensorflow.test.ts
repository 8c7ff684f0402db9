import { describe, expect, test } from "vitest";
import { BackendUnavailableError, missingNativePart, openTensorflow } from "./tensorflow.ts";

describe("the WASM backend", () => {
  test("is always there, and says its version and why", async () => {
    const backend = await openTensorflow("wasm");
    expect(backend.tf.getBackend()).toBe("wasm");
    expect(backend).toMatchObject({
      name: "wasm",
      version: "4.22.0",
      why: "it was asked for",
      label: "tfjs-wasm 4.22.0",
    });
  });

  test("gives the gradient of an embedding, by a kernel that it is lent, and leaks nothing", async () => {
    const { tf } = await openTensorflow("wasm");
    const before = tf.memory().numTensors;
    const gradient = tf.tidy(() => {
      const table = tf.tensor2d([1, 2, 3, 4, 5, 6], [3, 2]);
      const index = tf.tensor1d([2, 0, 2], "int32");
      return tf
        .grad((weights) => tf.gather(weights, index).square().sum())(table)
        .dataSync();
    });
    expect([...gradient]).toEqual([2, 4, 0, 0, 20, 24]);
    expect(tf.memory().numTensors).toBe(before);
  });
});

describe("a product of transposed matrices", () => {
  test.each([
    [false, false],
    [true, false],
    [false, true],
    [true, true],
  ])("on WASM is that of the plain backend (transposed: %s, %s), and leaks nothing", async (left, right) => {
    const { tf } = await openTensorflow("wasm");
    const before = tf.memory().numDataBuffers;
    const product = (): number[] =>
      tf.tidy(() => {
        const a = tf.randomUniform(left ? [3, 5] : [5, 3], -1, 1, "float32", 7);
        const b = tf.randomUniform(right ? [4, 3] : [3, 4], -1, 1, "float32", 8);
        return [...tf.matMul(a, b, left, right).dataSync()];
      });
    const onWasm = product();
    expect(tf.memory().numDataBuffers).toBe(before);
    await tf.setBackend("cpu");
    const plain = product();
    await tf.setBackend("wasm");
    onWasm.forEach((value, place) => {
      expect(value).toBeCloseTo(plain[place] ?? Number.NaN, 6);
    });
  });
});

describe("the native backend", () => {
  const absent = missingNativePart();

  test.runIf(absent !== undefined)(
    "is refused by name where it has not been built, and says how to build it",
    async () => {
      await expect(openTensorflow("native-cpu")).rejects.toThrow(BackendUnavailableError);
      await expect(openTensorflow("native-cpu")).rejects.toThrow("nx run training:native-cpu");
      expect((await openTensorflow("auto")).why).toBe(absent);
    },
  );

  test.runIf(absent === undefined)(
    "is picked where it has been built, and asking for a GPU that is not there fails",
    async () => {
      const backend = await openTensorflow("auto");
      expect(backend.tf.getBackend()).toBe("tensorflow");
      if (backend.name === "native-cpu") {
        await expect(openTensorflow("native-cuda")).rejects.toThrow("found no GPU");
      }
    },
  );
});
