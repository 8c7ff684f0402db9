import type * as tensorflow from "@tensorflow/tfjs";

/**
 * Makes the WASM backend transpose a matrix before it multiplies by it. Its multiplication of transposed matrices is a
 * plain loop, and that of others XNNPACK's: both products of a dense layer's gradient are of transposed matrices.
 * Calling it again does nothing.
 */
export const transposeBeforeMultiplying = (tf: typeof tensorflow): void => {
  const multiply = tf.getKernel("BatchMatMul", "wasm")?.kernelFunc;
  const transpose = tf.getKernel("Transpose", "wasm")?.kernelFunc;
  if (multiply === undefined || transpose === undefined || wrapped.has(multiply)) {
    return;
  }
  const kernelFunc: tensorflow.KernelFunc = ({ inputs, backend, attrs }) => {
    const { a, b } = inputs as { a: tensorflow.TensorInfo; b: tensorflow.TensorInfo };
    const { transposeA, transposeB } = attrs as unknown as { transposeA: boolean; transposeB: boolean };
    const swap = (x: tensorflow.TensorInfo): tensorflow.TensorInfo => {
      const axes = x.shape.map((_, axis) => axis);
      const perm = [...axes.slice(0, -2), axes.length - 1, axes.length - 2];
      return transpose({ inputs: { x }, backend, attrs: { perm } }) as tensorflow.TensorInfo;
    };
    const left = transposeA ? swap(a) : a;
    const right = transposeB ? swap(b) : b;
    const product = multiply({
      inputs: { a: left, b: right },
      backend,
      attrs: { transposeA: false, transposeB: false },
    });
    for (const [swapped, original] of [
      [left, a],
      [right, b],
    ] as const) {
      if (swapped !== original) {
        (backend as { disposeData(dataId: object): void }).disposeData(swapped.dataId);
      }
    }
    return product;
  };
  wrapped.add(kernelFunc);
  tf.unregisterKernel("BatchMatMul", "wasm");
  tf.registerKernel({ kernelName: "BatchMatMul", backendName: "wasm", kernelFunc });
};

const wrapped = new WeakSet<tensorflow.KernelFunc>();
