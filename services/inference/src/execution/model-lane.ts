import { MillraceError, Reason } from "@millrace/errors";
import {
  type Batch,
  type BatchingOptions,
  type CloseReason,
  DynamicBatching,
  ModelFailedError,
  type Queued,
  Slab,
  type Tensor,
} from "@millrace/tensor";
import { layBatch, rowsOf } from "./batch-rows.ts";
import type { ModelInstance, Run } from "./model-instance.ts";
import { add, type FailureReason, type ModelStatistics } from "./model-statistics.ts";
import type { PlacedTensor } from "./worker-messages.ts";

/** Thrown where the caller's time was over before the model ran. */
export class DeadlinePassedError extends MillraceError {
  constructor(waitedMs: number) {
    super(
      "DEADLINE_EXCEEDED",
      Reason.DEADLINE_EXCEEDED,
      `The deadline passed after the request had waited ${Math.round(waitedMs)} ms in the model's queue; it was not run.`,
    );
  }
}

/** Thrown where the caller gave up before the model ran. */
export class InferenceCancelledError extends MillraceError {
  constructor() {
    super("CANCELLED", Reason.CANCELLED, "The caller gave up while the request waited in the model's queue.");
  }
}

export interface InferOptions {
  /** When the caller stops waiting, in epoch ms. */
  readonly deadlineMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** 1 is the highest level; undefined for the model's default. */
  readonly priority?: number | undefined;
  /** Longest time in the queue, in ms, where the model lets requests say so. */
  readonly queueTimeoutMs?: number | undefined;
}

interface Request extends Queued {
  readonly inputs: readonly Tensor[];
  readonly arrivedMs: number;
  readonly read: (outputs: readonly Tensor[]) => void;
  readonly reject: (error: unknown) => void;
  readonly signal: AbortSignal | undefined;
  readonly onAbort: (() => void) | undefined;
}

export interface LaneOptions extends BatchingOptions {
  /** Whether requests are joined along the first axis. */
  readonly batched: boolean;
}

/** An instance and the memory that it shares with this thread. */
interface Slot {
  readonly instance: ModelInstance;
  slab: Slab;
  /** Whether a batch holds it: also between the runs of a batch whose requests are run one by one. */
  busy: boolean;
}

/**
 * The way of a request through a model: it waits in the queue, is joined with others, is run by the next free instance,
 * and its rows of the answer are read.
 *
 *     infer ──▶ DynamicBatching ──▶ layBatch (slab) ──▶ ModelInstance ──▶ rowsOf (slab) ──▶ read
 *
 * Each free instance takes the next batch. Requests that arrive in one turn of the event loop are joined, and a lone one
 * is not delayed beyond that turn.
 */
export class ModelLane {
  readonly statistics: ModelStatistics;
  readonly #options: LaneOptions;
  readonly #queue: DynamicBatching<Request>;
  readonly #slots: Slot[] = [];
  #timer: NodeJS.Timeout | undefined;
  #pumpIsDue = false;
  #running = 0;
  #onEmpty: (() => void)[] = [];
  /** Rolling mean of the time that a run takes, in ms, for the advice when to try again. */
  #runMs = 1;

  constructor(options: LaneOptions, statistics: ModelStatistics) {
    this.#options = options;
    this.statistics = statistics;
    this.#queue = new DynamicBatching<Request>(
      options.batched ? options : { ...options, maxBatchSize: 1, maxQueueDelayMs: 0 },
      () => performance.now(),
    );
  }

  /** Adds an instance that is free to run. */
  add(instance: ModelInstance): void {
    this.#slots.push({ instance, slab: new Slab(), busy: false });
    this.pump();
  }

  get instances(): readonly ModelInstance[] {
    return this.#slots.map(({ instance }) => instance);
  }

  get batched(): boolean {
    return this.#options.batched;
  }

  get options(): LaneOptions {
    return this.#options;
  }

  /** Requests that wait. */
  get waiting(): number {
    return this.#queue.waiting;
  }

  /** Whether any instance can still run something. */
  get alive(): boolean {
    return this.#slots.some(({ instance }) => instance.state === "free" || instance.state === "running");
  }

  /**
   * Runs a request.
   * @param inputs in the model's order, checked against its inputs.
   * @param rows the first dimension of every input of a batched model; 1 otherwise.
   * @param read is given the request's outputs, in the model's order, as views that are void when it returns: it copies
   *   or encodes them at once.
   * @throws QueueFullError, DeadlinePassedError, InferenceCancelledError, ModelFailedError, RunTooLongError
   */
  infer<R>(
    inputs: readonly Tensor[],
    rows: number,
    { deadlineMs, signal }: InferOptions,
    read: (outputs: readonly Tensor[]) => R,
  ): Promise<R> {
    return new Promise<R>((resolve, reject) => {
      const arrivedMs = performance.now();
      const request: Request = {
        inputs,
        rows: this.#options.batched ? rows : 1,
        group: this.#options.batched ? groupOf(inputs) : "",
        // The system's clock may be set; the queue's never goes back.
        expiresAtMs: deadlineMs === undefined ? undefined : arrivedMs + deadlineMs - Date.now(),
        arrivedMs,
        signal,
        onAbort: signal === undefined ? undefined : () => this.#cancel(request),
        read: (outputs) => {
          try {
            const result = read(outputs);
            add(this.statistics.success, 1, (performance.now() - arrivedMs) * 1e6);
            resolve(result);
          } catch (error) {
            this.#fail(request, "OTHER", error);
          }
        },
        reject,
      };
      try {
        if (signal?.aborted === true) throw new InferenceCancelledError();
        this.#queue.offer(request, Math.ceil(this.#runMs * 2));
      } catch (error) {
        this.#fail(request, "REJECTED", error);
        return;
      }
      if (request.onAbort !== undefined) signal?.addEventListener("abort", request.onAbort, { once: true });
      if (!this.#pumpIsDue) {
        this.#pumpIsDue = true;
        setImmediate(() => {
          this.#pumpIsDue = false;
          this.pump();
        });
      }
    });
  }

  /** Gives work to free instances. Called when a request came, an instance became free, or a wait is over. */
  pump(): void {
    clearTimeout(this.#timer);
    for (const slot of this.#slots) {
      if (slot.busy || slot.instance.state !== "free") continue;
      const { batch, expired, lookAgainAtMs } = this.#queue.take();
      for (const request of expired) {
        this.#fail(request, "REJECTED", new DeadlinePassedError(performance.now() - request.arrivedMs));
      }
      if (lookAgainAtMs !== undefined) {
        const waitMs = lookAgainAtMs - performance.now();
        this.#timer = setTimeout(() => this.pump(), Math.max(0, waitMs));
      }
      if (batch === undefined) break;
      this.#running++;
      slot.busy = true;
      void this.#runBatch(slot, batch).finally(() => {
        this.#running--;
        slot.busy = false;
        this.pump();
      });
    }
    if (this.#running === 0 && this.#queue.waiting === 0) {
      for (const done of this.#onEmpty.splice(0)) done();
    }
  }

  /** Runs what still waits, without delays, and then retires the instances. */
  async close(): Promise<void> {
    this.#queue.drain();
    await new Promise<void>((resolve) => {
      this.#onEmpty.push(resolve);
      if (!this.alive) this.#abandon();
      this.pump();
    });
    clearTimeout(this.#timer);
    await Promise.all(this.#slots.map(({ instance }) => instance.close()));
  }

  /** Called when an instance became wedged, free again, or was lost. */
  onInstanceChange(): void {
    if (!this.alive) this.#abandon();
    this.pump();
  }

  /** Answers everything that waits, because no instance is left that could run it. */
  #abandon(): void {
    for (;;) {
      const { batch, expired } = this.#queue.take();
      for (const request of expired) {
        this.#fail(request, "REJECTED", new DeadlinePassedError(performance.now() - request.arrivedMs));
      }
      if (batch === undefined) return;
      const error = new MillraceError(
        "UNAVAILABLE",
        Reason.MODEL_NOT_READY,
        "No instance of the model can take work: each is wedged in a run or was lost.",
      );
      for (const request of batch.requests) this.#fail(request, "REJECTED", error);
    }
  }

  async #runBatch(slot: Slot, { requests, rows, closed }: Batch<Request>): Promise<void> {
    const startedMs = performance.now();
    for (const request of requests) {
      if (request.onAbort !== undefined) request.signal?.removeEventListener("abort", request.onAbort);
      add(this.statistics.queue, 1, (startedMs - request.arrivedMs) * 1e6);
    }
    const error = await this.#run(slot, requests, rows, closed);
    if (error === undefined) return;
    for (const request of requests) {
      // The values of one request can fail a run: each is run alone, so that the others are answered.
      const own =
        requests.length === 1 || slot.instance.state !== "free"
          ? error
          : await this.#run(slot, [request], request.rows, closed);
      if (own !== undefined) this.#fail(request, "BACKEND", own.error);
    }
  }

  /** Runs requests together and has them read their answers. @returns the error that the run failed with. */
  async #run(
    slot: Slot,
    requests: readonly Request[],
    rows: number,
    closed: CloseReason,
  ): Promise<{ readonly error: unknown } | undefined> {
    const startedMs = performance.now();
    const { instance, slab } = slot;
    try {
      const laid = layBatch(
        slab,
        requests.map((request) => request.inputs),
        this.#options.batched ? rows : undefined,
        instance,
      );
      const running = instance.run(slab.memory, laid);
      const inputNs = (performance.now() - startedMs) * 1e6;
      const ran = await running;
      const outputStartedMs = performance.now();
      this.#answer(requests, rows, outputsOf(instance, slab.memory, laid.places, ran));
      const endedMs = performance.now();
      this.#runMs += (endedMs - startedMs - this.#runMs) / 16;
      this.statistics.ran({
        rows,
        requests: requests.length,
        closed,
        inputNs,
        inferNs: ran.inferNs,
        outputNs: (endedMs - outputStartedMs) * 1e6,
      });
      return undefined;
    } catch (error) {
      // A run that goes on after all still writes to the memory that it was given.
      if (instance.state !== "free") slot.slab = new Slab();
      return { error };
    }
  }

  #answer(requests: readonly Request[], rows: number, outputs: readonly Tensor[]): void {
    const [only] = requests;
    if (requests.length === 1 && only !== undefined) {
      only.read(outputs);
      return;
    }
    const wrong = outputs.find(({ shape }) => shape[0] !== rows);
    if (wrong !== undefined) {
      throw new ModelFailedError(
        `The output ${wrong.name} has ${wrong.shape[0] ?? "no"} rows for ${rows} rows of input: the model cannot be batched. Set max_batch_size to 1.`,
      );
    }
    let first = 0;
    for (const request of requests) {
      request.read(outputs.map((output) => rowsOf(output, first, request.rows)));
      first += request.rows;
    }
  }

  #cancel(request: Request): void {
    if (this.#queue.remove(request)) this.#fail(request, "CANCELED", new InferenceCancelledError());
  }

  #fail(request: Request, reason: FailureReason, error: unknown): void {
    if (request.onAbort !== undefined) request.signal?.removeEventListener("abort", request.onAbort);
    this.statistics.failed(reason, (performance.now() - request.arrivedMs) * 1e6);
    request.reject(error);
  }
}

/** Requests can be joined when their inputs are equal in all but the first dimension. */
const groupOf = (inputs: readonly Tensor[]): string => {
  let group = "";
  for (const { shape } of inputs) {
    for (let axis = 1; axis < shape.length; axis++) group += `${shape[axis]},`;
    group += ";";
  }
  return group;
};

const outputsOf = (
  instance: ModelInstance,
  memory: SharedArrayBuffer,
  places: readonly PlacedTensor[],
  { unplaced }: Run,
): readonly Tensor[] =>
  instance.outputs.map(({ name }): Tensor => {
    const own = unplaced.find((output) => output.name === name);
    if (own !== undefined) return own;
    const place = places.find((output) => output.name === name);
    if (place === undefined) throw new ModelFailedError(`The model gave no output ${name}.`);
    const { datatype, shape, byteOffset, byteLength } = place;
    return { name, datatype, shape, data: new Uint8Array(memory, byteOffset, byteLength) };
  });
