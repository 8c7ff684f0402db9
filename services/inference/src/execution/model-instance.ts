import { Worker } from "node:worker_threads";
import { MillraceError, Reason } from "@millrace/errors";
import type { OnnxTensorSpec } from "@millrace/tensor/onnxruntime";
import {
  type FromWorker,
  type RunMessage,
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

export interface ModelInstanceOptions {
  readonly intraOpThreads: number;
  /** The longest one run may take before this instance counts as wedged, in ms. */
  readonly maxRunTimeMs: number;
  /** Called when the instance becomes wedged, free again after that, or is lost. */
  readonly onChange: () => void;
}

/** What one run gave. */
export interface Run {
  readonly unplaced: readonly UnplacedTensor[];
  /** Time inside of the runtime, in ns. */
  readonly inferNs: number;
}

/**
 * One copy of a model in a worker thread of its own. One run at a time.
 *
 * The thread is never terminated, since that aborts the process when a run is under way: it is told to retire. A run
 * that takes too long is given up by its callers, and the instance is `wedged` until the run returns.
 */
export class ModelInstance {
  readonly #worker: Worker;
  readonly #options: ModelInstanceOptions;
  #inputs: readonly OnnxTensorSpec[] = [];
  #outputs: readonly OnnxTensorSpec[] = [];
  #executionProvider = { name: "", reason: "" };
  #state: "loading" | "free" | "running" | "wedged" | "retired" = "loading";
  #waiter: { resolve(message: FromWorker): void; reject(error: unknown): void } | undefined;
  #limit: NodeJS.Timeout | undefined;
  #retired = Promise.withResolvers<void>();

  private constructor(start: WorkerStart, options: ModelInstanceOptions) {
    this.#options = options;
    const suffix = import.meta.url.endsWith(".ts") ? "ts" : "js";
    this.#worker = new Worker(new URL(`./model-worker.${suffix}`, import.meta.url), { workerData: start });
    this.#worker.on("message", (message: FromWorker) => this.#receive(message));
    this.#worker.on("error", (error) => this.#lose(error));
    this.#worker.on("exit", () => this.#lose(undefined));
  }

  /** Starts the thread and loads the model. @throws what `OnnxSession.create` throws. */
  static async start(model: Uint8Array, options: ModelInstanceOptions): Promise<ModelInstance> {
    const instance = new ModelInstance({ model, intraOpThreads: options.intraOpThreads }, options);
    const message = await instance.#answer();
    if (message.kind === "refused") throw unpackError(message.error);
    if (message.kind !== "loaded") throw new TypeError(`The model worker began with ${message.kind}.`);
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

  /**
   * Runs once. Whoever calls must have seen `state` free.
   * @throws ModelFailedError, RunTooLongError, or TensorInvalidError where an input does not fit after all.
   */
  async run(message: RunMessage): Promise<Run> {
    this.#state = "running";
    this.#limit = setTimeout(() => this.#wedge(), this.#options.maxRunTimeMs);
    const answering = this.#answer();
    this.#send(message);
    const answer = await answering;
    if (answer.kind === "failed") throw unpackError(answer.error);
    if (answer.kind !== "ran") throw new TypeError(`The model worker answered a run with ${answer.kind}.`);
    return answer;
  }

  /**
   * Retires the thread after its current run, however long that takes: a thread that is in a run cannot be ended, and a
   * process that exits meanwhile is aborted.
   */
  async close(): Promise<void> {
    if (this.#state === "retired") return;
    this.#send({ kind: "retire" });
    await this.#retired.promise;
  }

  #send(message: ToWorker): void {
    this.#worker.postMessage(message);
  }

  #answer(): Promise<FromWorker> {
    return new Promise((resolve, reject) => {
      this.#waiter = { resolve, reject };
    });
  }

  #receive(message: FromWorker): void {
    clearTimeout(this.#limit);
    if (this.#state === "running" || this.#state === "wedged") this.#state = "free";
    const waiter = this.#waiter;
    this.#waiter = undefined;
    // A wedged run has no waiter any more: what it gives after all is dropped.
    if (waiter === undefined) this.#options.onChange();
    else waiter.resolve(message);
  }

  #wedge(): void {
    this.#state = "wedged";
    const waiter = this.#waiter;
    this.#waiter = undefined;
    waiter?.reject(new RunTooLongError(this.#options.maxRunTimeMs));
    this.#options.onChange();
  }

  #lose(error: unknown): void {
    clearTimeout(this.#limit);
    this.#state = "retired";
    this.#retired.resolve();
    const waiter = this.#waiter;
    this.#waiter = undefined;
    waiter?.reject(new MillraceError("INTERNAL", Reason.MODEL_FAILED, "The model's worker ended.", { cause: error }));
    this.#options.onChange();
  }
}
