import type * as tensorflow from "@tensorflow/tfjs";
import { MathBackendCPU } from "@tensorflow/tfjs-backend-cpu";

/** What training needs and the WASM backend lacks: the gradients of embeddings, of convolution and of pooling. */
const wantedKernels = [
  "UnsortedSegmentSum",
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
 * back in. Calling it again does nothing.
 */
export const lendCpuKernels = (tf: typeof tensorflow): void => {
  const own = new Set(tf.getKernelsForBackend("wasm").map(({ kernelName }) => kernelName));
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
