import { devNull } from "node:os";
import { InferenceSession, Tensor as OrtTensor } from "onnxruntime-node";
import { decodeStrings, encodeStrings } from "./bytes-elements.ts";
import { checkTensor } from "./check-tensor.ts";
import type { Datatype } from "./datatype.ts";
import type { ExecutionProviderName } from "./execution-provider-name.ts";
import {
  checkExecutionProviders,
  providerReason,
  type SkippedProvider,
  whyNotInstalled,
} from "./execution-providers.ts";
import { hideFloat16Array } from "./hide-float16-array.ts";
import { keepTelemetryOff } from "./keep-telemetry-off.ts";
import { ModelFailedError } from "./model-failed-error.ts";
import { ModelInvalidError } from "./model-invalid-error.ts";
import { elementCount, type Tensor, type TensorSpec } from "./tensor.ts";
import { TensorInvalidError } from "./tensor-invalid-error.ts";
import { bytesOf, typedView } from "./typed-view.ts";

export { ModelFailedError, ModelInvalidError };

keepTelemetryOff();
hideFloat16Array(() => new OrtTensor("float32", new Float32Array(1)));

export interface OnnxSessionOptions {
  /** Threads that one run may use. Default 1: models share the machine, and scale by workers. */
  readonly intraOpThreads?: number;
  /**
   * Where to run it, in order of preference: the first of `executionProviderNames` that this machine has is taken.
   * Default: `cpu`.
   */
  readonly executionProviders?: readonly string[];
  /** Weights that the model keeps in other files, by the path that it names each by. */
  readonly externalData?: ReadonlyMap<string, Uint8Array>;
  /**
   * The folder that such files lie in: the runtime reads them from there and from folders below. Without it, and without
   * `externalData`, a model with weights in other files is refused: the runtime by itself would look for them in the
   * process's working directory.
   */
  readonly externalDataFolder?: string;
  readonly tuning?: OnnxTuning;
}

/** How the runtime goes about it. Answers may differ in the last digits. */
export interface OnnxTuning {
  /** How far the graph is rewritten when it is loaded. Default `all`. */
  readonly graphOptimization?: "disabled" | "basic" | "extended" | "all" | undefined;
  /** Runs parts of the graph beside each other that do not depend on each other. Default false. */
  readonly parallel?: boolean | undefined;
  /** Threads for that. Default 1. */
  readonly interOpThreads?: number | undefined;
  /** Keeps memory of runs for the next ones. Default true. */
  readonly memoryArena?: boolean | undefined;
  /** Plans the memory of a run ahead where shapes allow it. Default true. */
  readonly memoryPattern?: boolean | undefined;
}

/** A dimension that a model leaves open has a name or none; equal names mean equal sizes. */
export interface OnnxTensorSpec extends TensorSpec {
  /** One entry an axis: the name of an open dimension, empty where it is fixed or has no name. */
  readonly dimensionNames: readonly string[];
}

/**
 * A model in onnxruntime-node: the one place of millrace that imports it.
 *
 * `create` and `run` are synchronous underneath: they block the thread that calls them. A service calls them in a worker
 * thread, and never terminates that thread while either is under way (the process would abort).
 */
export class OnnxSession {
  readonly inputs: readonly OnnxTensorSpec[];
  readonly outputs: readonly OnnxTensorSpec[];
  /** Where the model runs, and why there. */
  readonly executionProvider: { readonly name: ExecutionProviderName; readonly reason: string };
  readonly #session: InferenceSession;

  private constructor(session: InferenceSession, executionProvider: OnnxSession["executionProvider"]) {
    this.#session = session;
    this.executionProvider = executionProvider;
    this.inputs = session.inputMetadata.map((metadata) => specOf("input", metadata));
    this.outputs = session.outputMetadata.map((metadata) => specOf("output", metadata));
  }

  /**
   * Loads a model.
   * @param model the bytes of an ONNX file.
   * @throws ModelInvalidError when it cannot be read; naming a file with weights that is not there; naming the input or
   *   output that cannot be carried (sequences, maps, BF16 and 8-bit floats); naming an execution provider that is
   *   unknown, or each that was asked for where none is there.
   */
  static async create(model: Uint8Array, options: OnnxSessionOptions = {}): Promise<OnnxSession> {
    const asked = checkExecutionProviders(options.executionProviders ?? ["cpu"]);
    const skipped: SkippedProvider[] = [];
    for (const name of asked) {
      let why = whyNotInstalled(name);
      if (why === undefined) {
        let session: InferenceSession;
        try {
          session = await createSession(model, name, options);
        } catch (cause) {
          if (name === "cpu") throw await loadError(model, cause);
          why = firstLine(cause);
          skipped.push({ name, why });
          continue;
        }
        try {
          return new OnnxSession(session, { name, reason: providerReason(skipped, asked) });
        } catch (error) {
          await session.release();
          throw error;
        }
      }
      skipped.push({ name, why });
    }
    throw new ModelInvalidError(
      `The model cannot be loaded: ${skipped.map(({ name, why }) => `${name} is not available (${why})`).join(", ")}.`,
    );
  }

  /**
   * Runs the model once.
   * @param inputs one tensor for each input of the model, in any order, at any alignment, in own or shared memory.
   * @param into outputs whose memory the runtime is to fill: a returned tensor that was filled in place has that very
   *   `data`. A wrong guess of the shape is no error: that output comes in memory of its own.
   * @returns the outputs in the model's order.
   * @throws TensorInvalidError naming an input that is missing, unknown or does not fit; ModelFailedError.
   */
  async run(inputs: readonly Tensor[], into: readonly Tensor[] = []): Promise<Tensor[]> {
    const feeds: Record<string, OrtTensor> = {};
    for (const spec of this.inputs) {
      const tensor = inputs.find(({ name }) => name === spec.name);
      if (tensor === undefined) {
        throw new TensorInvalidError({ field: spec.name, expected: `an input of ${spec.datatype}`, got: "none" });
      }
      checkTensor(tensor, spec);
      feeds[spec.name] = toOrt(tensor);
    }
    if (inputs.length !== this.inputs.length) {
      const names = this.inputs.map(({ name }) => name);
      const unknown = inputs.find(
        ({ name }, index) => !names.includes(name) || inputs.findIndex((i) => i.name === name) < index,
      );
      throw new TensorInvalidError({
        field: unknown?.name ?? "inputs",
        expected: `each of ${names.join(", ")} once`,
        got: inputs.map(({ name }) => name).join(", "),
      });
    }
    const places = new Map<string, Tensor>();
    for (const place of into) if (place.datatype !== "BYTES") places.set(place.name, place);
    let answers = places.size === 0 ? undefined : await this.#runInto(feeds, places);
    if (answers === undefined) {
      places.clear();
      answers = await this.#runInto(feeds, places);
    }
    if (answers === undefined) throw new ModelFailedError("The model gave no outputs.");
    const outputs: Tensor[] = [];
    for (const spec of this.outputs) {
      const answer = answers[spec.name];
      if (answer === undefined) throw new ModelFailedError(`The model gave no output ${spec.name}.`);
      outputs.push(places.get(spec.name) ?? fromOrt(spec, answer));
    }
    return outputs;
  }

  /** Frees the model's memory. No run may be under way. */
  async close(): Promise<void> {
    await this.#session.release();
  }

  /** Runs once; undefined where the runtime refused the places because their shapes are not those of the outputs. */
  async #runInto(
    feeds: Record<string, OrtTensor>,
    places: ReadonlyMap<string, Tensor>,
  ): Promise<InferenceSession.OnnxValueMapType | undefined> {
    const fetches: Record<string, OrtTensor | null> = {};
    for (const { name } of this.outputs) {
      const place = places.get(name);
      fetches[name] = place === undefined ? null : toOrt(place);
    }
    try {
      return await this.#session.run(feeds, fetches);
    } catch (cause) {
      if (places.size > 0 && firstLine(cause).includes("pre-allocated output")) return undefined;
      throw new ModelFailedError("The model failed while it ran.", cause);
    }
  }
}

const createSession = (
  model: Uint8Array,
  provider: ExecutionProviderName,
  { intraOpThreads = 1, externalData = new Map(), externalDataFolder = devNull, tuning = {} }: OnnxSessionOptions,
): Promise<InferenceSession> =>
  InferenceSession.create(model, {
    executionProviders: [provider],
    intraOpNumThreads: intraOpThreads,
    interOpNumThreads: tuning.interOpThreads ?? 1,
    executionMode: tuning.parallel === true ? "parallel" : "sequential",
    graphOptimizationLevel: tuning.graphOptimization ?? "all",
    enableCpuMemArena: tuning.memoryArena ?? true,
    enableMemPattern: tuning.memoryPattern ?? true,
    // Failures reach the caller as errors; the runtime's own lines on stderr would say them twice.
    logSeverityLevel: 4,
    ...(externalData.size === 0 ? {} : { externalData: [...externalData].map(([path, data]) => ({ path, data })) }),
    extra: {
      session: {
        intra_op: { allow_spinning: "0" },
        inter_op: { allow_spinning: "0" },
        model_external_initializers_file_folder_path: externalDataFolder,
      },
    },
  });

const loadError = async (model: Uint8Array, cause: unknown): Promise<ModelInvalidError> => {
  const uncarried = /Unsupported data type: (\d+)/.exec(firstLine(cause))?.[1];
  if (uncarried !== undefined) {
    const type = Number(uncarried);
    // Loaded for this only: it parses whole models, which no worker needs otherwise.
    const { tensorOfType } = await import("./tensor-of-type.ts");
    return new ModelInvalidError(
      `${tensorOfType(model, type)} has ONNX's datatype ${type}${type === 16 ? " (BF16)" : ""}, which cannot be carried.`,
      cause,
    );
  }
  return new ModelInvalidError(missingWeights(cause) ?? `The model cannot be loaded: ${firstLine(cause)}`, cause);
};

/** onnxruntime-common's words for datatypes, and ours. */
const datatypes: Readonly<Record<string, Datatype>> = {
  bool: "BOOL",
  uint8: "UINT8",
  uint16: "UINT16",
  uint32: "UINT32",
  uint64: "UINT64",
  int8: "INT8",
  int16: "INT16",
  int32: "INT32",
  int64: "INT64",
  float16: "FP16",
  float32: "FP32",
  float64: "FP64",
  string: "BYTES",
};
const words = Object.fromEntries(Object.entries(datatypes).map(([word, datatype]) => [datatype, word])) as Record<
  Datatype,
  OrtTensor.Type
>;

const specOf = (role: "input" | "output", metadata: InferenceSession.ValueMetadata): OnnxTensorSpec => {
  const { name } = metadata;
  if (!metadata.isTensor) {
    throw new ModelInvalidError(
      `The ${role} ${name} is not a tensor: sequences, maps and optionals cannot be carried.`,
    );
  }
  const datatype = datatypes[metadata.type];
  if (datatype === undefined) {
    throw new ModelInvalidError(`The ${role} ${name} has the datatype ${metadata.type}, which cannot be carried.`);
  }
  return {
    name,
    datatype,
    shape: metadata.shape.map((dimension) => (typeof dimension === "number" ? dimension : -1)),
    dimensionNames: metadata.shape.map((dimension) => (typeof dimension === "number" ? "" : (dimension ?? ""))),
  };
};

const toOrt = ({ name, datatype, shape, data }: Tensor): OrtTensor =>
  datatype === "BYTES"
    ? new OrtTensor("string", decodeStrings(name, data, elementCount(shape)), shape)
    : new OrtTensor(words[datatype], typedView(datatype, data) as OrtTensor.DataType, shape);

const fromOrt = ({ name, datatype }: TensorSpec, { data, dims }: OrtTensor): Tensor => ({
  name,
  datatype,
  shape: dims,
  data: datatype === "BYTES" ? encodeStrings(data as string[]) : bytesOf(data as Uint8Array),
});

/** The runtime's message without its second and further lines, colours and paths. */
/** What to say where the runtime does not find a file with weights; undefined for any other failure. */
const missingWeights = (cause: unknown): string | undefined => {
  const text = cause instanceof Error ? cause.message : String(cause);
  if (!/External (data|file)/.test(text)) return undefined;
  const tensor = /for initializer: (.*?)\. Error/.exec(text)?.[1];
  const file = /External data path[^"]*: "([^"]*)"/.exec(text)?.[1] ?? /External file: (.*?) not found/.exec(text)?.[1];
  const named = file === undefined ? "" : `, ${file.replace(`${devNull}/`, "")}`;
  return `The model keeps weights${tensor === undefined ? "" : ` (${tensor})`} in another file${named}, which is not among its files.`;
};

const firstLine = (cause: unknown): string => {
  const text = cause instanceof Error ? cause.message : String(cause);
  return text.split("\n", 1)[0] ?? text;
};
