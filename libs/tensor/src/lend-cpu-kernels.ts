import type * as tensorflow from "@tensorflow/tfjs";
import { MathBackendCPU } from "@tensorflow/tfjs-backend-cpu";

/** What training needs and the WASM backend lacks: the gradients of convolution and of pooling. */
const wantedKernels = [
  "Conv2DBackpropFilter",
  "DepthwiseConv2dNativeBackpropFilter",
  "DepthwiseConv2dNativeBackpropInput",
  "MaxPoolGrad",
  "AvgPoolGrad",
];

/** A backend that stores what its kernels read and write. */
interface Store {
  readSync(dataId: object): tensorflow.BackendValues;
  write(values: tensorflow.BackendValues, shape: number[], dtype: tensorflow.DataType): object;
}

/**
 * Lets the WASM backend run a few kernels of the plain JavaScript backend: their inputs are copied out, and the results
 * back in. The gradient of an embedding gets a kernel of its own, because that of the plain backend visits every row once
 * a category. Calling it again does nothing.
 */
export const lendCpuKernels = (tf: typeof tensorflow): void => {
  const own = new Set(tf.getKernelsForBackend("wasm").map(({ kernelName }) => kernelName));
  if (!own.has("UnsortedSegmentSum")) {
    tf.registerKernel({ kernelName: "UnsortedSegmentSum", backendName: "wasm", kernelFunc: unsortedSegmentSum });
  }
  const cpu = new MathBackendCPU();
  // On its first use it advises, on standard error, to install a native backend.
  Reflect.set(cpu, "firstUse", false);
  for (const { kernelName, kernelFunc } of tf.getKernelsForBackend("cpu")) {
    if (own.has(kernelName) || !wantedKernels.includes(kernelName)) {
      continue;
    }
    tf.registerKernel({
      kernelName,
      backendName: "wasm",
      kernelFunc: ({ inputs, backend, ...rest }) => {
        const wasm = backend as Store;
        const borrowed: object[] = [];
        const lent: tensorflow.NamedTensorInfoMap = {};
        for (const [name, tensor] of Object.entries(inputs)) {
          if (tensor === undefined) {
            continue;
          }
          const dataId = cpu.write(wasm.readSync(tensor.dataId), tensor.shape, tensor.dtype);
          borrowed.push(dataId);
          lent[name] = { ...tensor, dataId };
        }
        const answer = kernelFunc({ ...rest, inputs: lent, backend: cpu });
        const results = (Array.isArray(answer) ? answer : [answer]).map(({ dataId, shape, dtype }) => {
          borrowed.push(dataId);
          return { dataId: wasm.write(cpu.readSync(dataId), shape, dtype), shape, dtype };
        });
        for (const dataId of new Set(borrowed)) {
          cpu.disposeData(dataId, true);
        }
        return Array.isArray(answer) ? results : (results[0] as tensorflow.TensorInfo);
      },
    });
  }
};

/** Sums the rows of `x` that have the same segment, in their order. A negative segment is left out. */
const unsortedSegmentSum: tensorflow.KernelFunc = ({ inputs, backend, attrs }) => {
  const { x, segmentIds } = inputs as { x: tensorflow.TensorInfo; segmentIds: tensorflow.TensorInfo };
  const wasm = backend as Store;
  const values = wasm.readSync(x.dataId) as Float32Array;
  const segments = wasm.readSync(segmentIds.dataId) as Int32Array;
  const segmentCount = Number(attrs?.numSegments);
  const width = segments.length === 0 ? 0 : values.length / segments.length;
  const shape = [segmentCount, ...x.shape.slice(segmentIds.shape.length)];
  const sums = new Float32Array(shape.reduce((product, length) => product * length, 1));
  for (let row = 0; row < segments.length; row++) {
    const segment = segments[row] as number;
    if (segment < 0 || segment >= segmentCount) continue;
    for (let column = 0; column < width; column++) {
      const place = segment * width + column;
      sums[place] = (sums[place] as number) + (values[row * width + column] as number);
    }
  }
  return { dataId: wasm.write(sums, shape, "float32"), shape, dtype: "float32" };
};
