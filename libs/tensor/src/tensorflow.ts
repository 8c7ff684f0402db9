import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { MillraceError, Reason } from "@millrace/errors";
import * as tf from "@tensorflow/tfjs";
import { lendCpuKernels } from "./lend-cpu-kernels.ts";
import { transposeBeforeMultiplying } from "./transpose-before-multiplying.ts";

/** What may be asked for. `auto` is the native library where it has been built, else WASM. */
export type TensorflowChoice = "auto" | "wasm" | "native-cpu" | "native-cuda";

/** The backend that was picked. */
export interface TensorflowBackend {
  readonly tf: typeof tf;
  readonly name: "wasm" | "native-cpu" | "native-cuda";
  /** Of the library that computes: of tfjs for WASM, of TensorFlow for the native ones. */
  readonly version: string;
  /** Why this one, in a sentence. */
  readonly why: string;
  /** Name and version in one word pair, for lineage: `tfjs-wasm 4.22.0`. Results differ in their last digits by it. */
  readonly label: string;
}

/** Thrown when the backend that was asked for by name is not there. Says how to get it. */
export class BackendUnavailableError extends MillraceError {
  constructor(wanted: TensorflowChoice, why: string, cause?: unknown) {
    super("FAILED_PRECONDITION", Reason.BACKEND_UNAVAILABLE, `The backend ${wanted} is not available: ${why}`, {
      cause,
      metadata: { backend: wanted },
    });
  }
}

const require = createRequire(import.meta.url);

/**
 * Picks the tfjs backend of this process, once: the one place that knows of WASM and of the native binding.
 *
 * WASM always works; kernels that it lacks and training needs (gradients of embeddings, convolution, pooling) are lent to
 * it by the plain JavaScript backend. The native binding is used where `nx run training:native-cpu` or `native-cuda` has
 * built it. TensorFlow's CUDA library falls back to the CPU without a word: asking for `native-cuda` fails then.
 *
 * @throws BackendUnavailableError when the named backend is not there. `auto` never throws for a missing binding.
 */
export const openTensorflow = async (wanted: TensorflowChoice = "auto"): Promise<TensorflowBackend> => {
  if (wanted === "wasm") {
    return await openWasm("it was asked for");
  }
  const absent = missingNativePart();
  if (absent !== undefined) {
    if (wanted !== "auto") {
      throw new BackendUnavailableError(wanted, `${absent}. Build it with \`nx run training:${wanted}\`.`);
    }
    return await openWasm(absent);
  }
  return await openNative(wanted);
};

/** Which part of the native backend is not there, in words; undefined where all of it is. */
export const missingNativePart = (): string | undefined => {
  let folder: string;
  try {
    folder = dirname(require.resolve("@tensorflow/tfjs-node-gpu/package.json"));
  } catch {
    return "the optional package @tensorflow/tfjs-node-gpu is not installed";
  }
  if (!existsSync(join(folder, "lib", "napi-v8", "tfjs_binding.node"))) {
    return "its native binding has not been built";
  }
  return existsSync(join(folder, "deps", "lib", "libtensorflow.so"))
    ? undefined
    : "the TensorFlow library that its native binding was built with is gone";
};

const openWasm = async (why: string): Promise<TensorflowBackend> => {
  const { version_wasm: version } = await import("@tensorflow/tfjs-backend-wasm");
  if (!(await tf.setBackend("wasm"))) {
    throw new BackendUnavailableError("wasm", "WebAssembly could not be initialised.");
  }
  await tf.ready();
  lendCpuKernels(tf);
  transposeBeforeMultiplying(tf);
  return { tf, name: "wasm", version, why, label: `tfjs-wasm ${version}` };
};

/** What the native backend says of itself; not part of tfjs's types. */
interface NativeBackend {
  readonly isUsingGpuDevice: boolean;
  readonly binding: { readonly TF_Version: string };
}

const openNative = async (wanted: TensorflowChoice): Promise<TensorflowBackend> => {
  restoreIsNullOrUndefined();
  process.env.TF_CPP_MIN_LOG_LEVEL ??= "2";
  try {
    require("@tensorflow/tfjs-node-gpu");
  } catch (cause) {
    if (wanted !== "auto") {
      throw new BackendUnavailableError(wanted, "the native binding does not load; build it again.", cause);
    }
    return await openWasm("the native binding does not load");
  }
  await tf.setBackend("tensorflow");
  await tf.ready();
  const native = tf.backend() as unknown as NativeBackend;
  const version = native.binding.TF_Version;
  if (native.isUsingGpuDevice) {
    if (wanted === "native-cpu") {
      throw new BackendUnavailableError(
        wanted,
        "the binding was built with the CUDA library, and a GPU is there. Build it with `nx run training:native-cpu`.",
      );
    }
    return { tf, name: "native-cuda", version, why: "a GPU is there", label: `tfjs-native-cuda ${version}` };
  }
  if (wanted === "native-cuda") {
    throw new BackendUnavailableError(wanted, `TensorFlow ${version} found no GPU, and would run on the CPU.`);
  }
  const why = wanted === "auto" ? "its native binding has been built" : "it was asked for";
  return { tf, name: "native-cpu", version, why, label: `tfjs-native ${version}` };
};

/**
 * tfjs-node calls `util.isNullOrUndefined`, which Node 23 removed. This can go when tfjs-node no longer does: the test
 * beside this file says so.
 */
const restoreIsNullOrUndefined = (): void => {
  const util = require("node:util") as { isNullOrUndefined?: (value: unknown) => boolean };
  util.isNullOrUndefined ??= (value) => value === null || value === undefined;
};
