import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from "node:worker_threads";
import { MillraceError, Reason } from "@millrace/errors";
import { keepTelemetryOff } from "@millrace/tensor";
import type { OnnxTensorSpec, OnnxTuning } from "@millrace/tensor/onnxruntime";
import type { LaidBatch } from "./batch-rows.ts";
import { Turns } from "./turns.ts";
import {
  type FromWorker,
  type ToWorker,
  type UnplacedTensor,
  unpackError,
  type WorkerStart,
} from "./worker-messages.ts";

/** Thrown to the callers of a run that is still going after the longest time that one may take. */
export class RunTooLongError extends MillraceError {
  constructor(maxRunTimeMs: number) {
    super(
      "UNAVAILABLE",
      Reason.MODEL_NOT_READY,
      `The model has been running for more than ${maxRunTimeMs} ms; its worker is wedged and takes no work until it returns.`,
    );
  }
}

/** Thrown to the callers of a run whose thread ended: by an error that nobody caught, by its own exit, out of memory. */
export class InstanceLostError extends MillraceError {
  constructor(cause: unknown) {
    const why = cause instanceof Error ? `: ${cause.message}` : "";
    super(
      "INTERNAL",
      Reason.MODEL_FAILED,
      `The model's worker ended while it ran${why}. Another one takes its place.`,
      {
        cause,
      },
    );
  }
}

export interface ModelInstanceOptions {
  readonly intraOpThreads: number;
  /** In order of preference, as `OnnxSessionOptions` says. */
  readonly executionProviders?: readonly string[] | undefined;
  readonly tuning?: OnnxTuning | undefined;
  /** Weights that the model keeps in other files, as `OnnxSessionOptions` says. */
  readonly externalData?: ReadonlyMap<string, Uint8Array> | undefined;
  readonly externalDataFolder?: string | undefined;
  /** The longest one run may take before this instance counts as wedged, in ms. */
  readonly maxRunTimeMs: number;
  /** Called when the instance becomes wedged, free again after that, or is lost. */
  readonly onChange: () => void;
  /** The script of the thread, where it is not the usual one. */
  readonly script?: URL | undefined;
  /** Most memory for the thread's JavaScript heap, in MiB; models and tensors lie outside of it. Default: Node's. */
  readonly maxHeapMb?: number | undefined;
}

/** What one run gave. */
export interface Run {
  readonly unplaced: readonly UnplacedTensor[];
  /** Time inside of the runtime, in ns. */
  readonly inferNs: number;
}

/** What a turn of the worker came back with; no message where all outputs are in their places. */
interface HandedBack {
  readonly message: FromWorker | undefined;
  readonly inferNs: number;
}

// The threads of the instances cannot.
keepTelemetryOff();

/** Every instance whose thread lives. */
const live = new Set<ModelInstance>();

/** Instances whose threads are inside of the runtime: a process that exits meanwhile is aborted, or waits for ever. */
export const instancesInARun = (): number => {
  let count = 0;
  for (const { state } of live) if (state !== "free" && state !== "retired") count++;
  return count;
};

/**
 * One copy of a model in a worker thread of its own. One run at a time.
 *
 * The thread is never terminated, since that aborts the process when a run is under way: it is told to retire. A run
 * that takes too long is given up by its callers, and the instance is `wedged` until the run returns.
 */
export class ModelInstance {
  readonly #worker: Worker;
  readonly #turns = new Turns();
  readonly #port: MessagePort;
  readonly #options: ModelInstanceOptions;
  readonly #retired = Promise.withResolvers<void>();
  #inputs: readonly OnnxTensorSpec[] = [];
  #outputs: readonly OnnxTensorSpec[] = [];
  #executionProvider = { name: "", reason: "" };
  #state: "loading" | "free" | "running" | "wedged" | "retired" = "loading";
  #waiter: { resolve(answer: HandedBack): void; reject(error: unknown): void } | undefined;
  #startedMs = 0;
  #limit: NodeJS.Timeout | undefined;
  /** The memory that the worker knows. */
  #memory: SharedArrayBuffer | undefined;
  #retireWhenFree = false;
  #lostBy: unknown;

  private constructor(model: Uint8Array, options: ModelInstanceOptions) {
    this.#options = options;
    const { port1, port2 } = new MessageChannel();
    this.#port = port1;
    const suffix = import.meta.url.endsWith(".ts") ? "ts" : "js";
    const { intraOpThreads, executionProviders, tuning, externalData, externalDataFolder } = options;
    this.#worker = new Worker(options.script ?? new URL(`./model-worker.${suffix}`, import.meta.url), {
      workerData: {
        model,
        externalData,
        externalDataFolder,
        intraOpThreads,
        executionProviders,
        tuning,
        turns: this.#turns.memory,
        port: port2,
      } satisfies WorkerStart,
      transferList: [port2],
      resourceLimits: {
        // The thread makes next to no garbage: its tensors lie outside of its heap.
        maxYoungGenerationSizeMb: 2,
        ...(options.maxHeapMb === undefined ? {} : { maxOldGenerationSizeMb: options.maxHeapMb }),
      },
    });
    live.add(this);
    this.#worker.on("error", (error) => this.#lose(error));
    this.#worker.on("exit", (code) => this.#lose(code === 0 ? undefined : new Error(`it exited with ${code}`)));
  }

  /** Starts the thread and loads the model. @throws what `OnnxSession.create` throws. */
  static async start(model: Uint8Array, options: ModelInstanceOptions): Promise<ModelInstance> {
    const instance = new ModelInstance(model, options);
    const { message } = await instance.#handOver(undefined);
    if (message?.kind === "refused") throw unpackError(message.error);
    if (message?.kind !== "loaded") throw new TypeError(`The model worker began with ${message?.kind}.`);
    instance.#inputs = message.inputs;
    instance.#outputs = message.outputs;
    instance.#executionProvider = message.executionProvider;
    instance.#state = "free";
    return instance;
  }

  get inputs(): readonly OnnxTensorSpec[] {
    return this.#inputs;
  }
  get outputs(): readonly OnnxTensorSpec[] {
    return this.#outputs;
  }
  get executionProvider(): { readonly name: string; readonly reason: string } {
    return this.#executionProvider;
  }
  get state(): "loading" | "free" | "running" | "wedged" | "retired" {
    return this.#state;
  }

  /** What it was lost by, where it was: an error of its thread, or nothing where that just ended. */
  get lostBy(): unknown {
    return this.#lostBy;
  }

  /**
   * Runs once, on a batch that was laid in the memory. Whoever calls must have seen `state` free.
   * @throws ModelFailedError, RunTooLongError, or TensorInvalidError where an input does not fit after all.
   */
  async run(memory: SharedArrayBuffer, { inputs, places, rows }: LaidBatch): Promise<Run> {
    this.#state = "running";
    this.#startedMs = performance.now();
    this.#limit ??= setTimeout(() => this.#checkLimit(), this.#options.maxRunTimeMs);
    const known = memory === this.#memory;
    this.#memory = memory;
    if (!known || rows === undefined) this.#send({ kind: "run", memory, inputs, places });
    const { message, inferNs } = await this.#handOver(known ? rows : undefined);
    if (message === undefined) return { unplaced: [], inferNs };
    if (message.kind === "failed") throw unpackError(message.error);
    if (message.kind !== "ran") throw new TypeError(`The model worker answered a run with ${message.kind}.`);
    return { unplaced: message.unplaced, inferNs };
  }

  /** Has a changed `maxRunTimeMs` hold at once, for the run at hand as well. */
  limitRunsAnew(): void {
    clearTimeout(this.#limit);
    this.#checkLimit();
  }

  /**
   * Retires the thread after its current run, however long that takes: a thread that is in a run cannot be ended (see
   * `endWithStuckRuns`).
   */
  async close(): Promise<void> {
    if (this.#state === "retired") return;
    if (this.#state === "free") this.#retire();
    else this.#retireWhenFree = true;
    await this.#retired.promise;
  }

  #retire(): void {
    this.#send({ kind: "retire" });
    this.#turns.handOver(undefined);
  }

  #send(message: ToWorker): void {
    this.#port.postMessage(message);
  }

  #handOver(rows: number | undefined): Promise<HandedBack> {
    return new Promise((resolve, reject) => {
      this.#waiter = { resolve, reject };
      const turn = this.#turns.handOver(rows);
      this.#turns.whenHandedBack(turn, () => this.#receive());
    });
  }

  #receive(): void {
    if (this.#state === "retired") return;
    const { hasMessage, inferNs } = this.#turns.handedBack;
    const message = hasMessage ? (receiveMessageOnPort(this.#port)?.message as FromWorker) : undefined;
    if (this.#state !== "loading") this.#state = "free";
    const waiter = this.#waiter;
    this.#waiter = undefined;
    if (this.#retireWhenFree) this.#retire();
    // A wedged run has no waiter any more: what it gives after all is dropped.
    if (waiter === undefined) this.#options.onChange();
    else waiter.resolve({ message, inferNs });
  }

  /** One timer serves many runs: it looks when the oldest may be over its time, and is armed anew for the one at hand. */
  #checkLimit(): void {
    this.#limit = undefined;
    if (this.#state !== "running") return;
    const leftMs = this.#startedMs + this.#options.maxRunTimeMs - performance.now();
    if (leftMs > 0) {
      this.#limit = setTimeout(() => this.#checkLimit(), leftMs);
      return;
    }
    this.#state = "wedged";
    const waiter = this.#waiter;
    this.#waiter = undefined;
    waiter?.reject(new RunTooLongError(this.#options.maxRunTimeMs));
    this.#options.onChange();
  }

  #lose(error: unknown): void {
    if (this.#state === "retired") return;
    clearTimeout(this.#limit);
    live.delete(this);
    this.#state = "retired";
    this.#lostBy = error;
    this.#port.close();
    this.#retired.resolve();
    const waiter = this.#waiter;
    this.#waiter = undefined;
    waiter?.reject(new InstanceLostError(error));
    this.#options.onChange();
  }
}
