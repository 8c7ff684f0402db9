import {
  type Batch,
  type BatchingOptions,
  type CloseReason,
  DynamicBatching,
  levelOf,
  ModelFailedError,
  type Queued,
  Slab,
  type Swept,
  type Tensor,
} from "@millrace/tensor";
import { AnswerOrder, type AnswerPlace } from "./answer-order.ts";
import { layBatch, outputsOf, rowsOf } from "./batch-rows.ts";
import type { ModelInstance } from "./model-instance.ts";
import { add, type FailureReason, type ModelStatistics } from "./model-statistics.ts";
import {
  DeadlinePassedError,
  DeadlineUnreachableError,
  InferenceCancelledError,
  NoInstanceError,
  QueueTimeoutError,
} from "./queue-errors.ts";
import type { ResponseCache } from "./response-cache.ts";
import { RunTimeEstimate } from "./run-time-estimate.ts";

export interface InferOptions {
  /** When the caller stops waiting, in epoch ms. */
  readonly deadlineMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** 1 is the highest level; undefined for the model's default. */
  readonly priority?: number | undefined;
  /** Longest time in the queue, in ms, where the model lets requests say so. */
  readonly queueTimeoutMs?: number | undefined;
  /** Runs the model even where the cache knows the answer, and keeps nothing. */
  readonly bypassCache?: boolean | undefined;
}

interface Request extends Queued {
  readonly inputs: readonly Tensor[];
  readonly arrivedMs: number;
  readonly read: (outputs: readonly Tensor[]) => void;
  readonly reject: (error: unknown) => void;
  readonly signal: AbortSignal | undefined;
  readonly onAbort: (() => void) | undefined;
  /** Where answers leave in order. */
  readonly place: AnswerPlace | undefined;
}

export interface LaneOptions extends BatchingOptions {
  /** Whether requests are joined along the first axis. */
  readonly batched: boolean;
  /** Whether answers leave in the order in which their requests came, within a level, over all instances. */
  readonly preserveOrdering?: boolean | undefined;
}

/** What a lane may be given beside its options. */
export interface LaneParts {
  readonly cache?: ResponseCache | undefined;
  /** Retires the instances when the lane is closed. Without it the lane does. */
  readonly retireInstances?: (() => Promise<void>) | undefined;
}

/** A prediction may be wrong by so much, and the request is still answered in time. */
const predictionMargin = 1.25;

/** An instance and the memory that it shares with this thread. */
interface Slot {
  readonly instance: ModelInstance;
  slab: Slab;
  /** Whether a batch holds it: also between the runs of a batch whose requests are run one by one. */
  busy: boolean;
  /** Rows of the batch at hand, and since when it runs. */
  rows: number;
  sinceMs: number;
  /** Whether more waited when it began: then the next one begins as soon as this one ends. */
  hasBacklog: boolean;
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
  readonly #parts: LaneParts;
  readonly #estimate = new RunTimeEstimate();
  readonly #order: AnswerOrder | undefined;
  #timer: NodeJS.Timeout | undefined;
  #sweepTimer: NodeJS.Timeout | undefined;
  #pumpIsDue = false;
  #running = 0;
  #onEmpty: (() => void)[] = [];

  constructor(options: LaneOptions, statistics: ModelStatistics, parts: LaneParts = {}) {
    this.#options = options;
    this.#parts = parts;
    this.#order = options.preserveOrdering === true ? new AnswerOrder() : undefined;
    this.statistics = statistics;
    this.#queue = new DynamicBatching<Request>(
      options.batched ? options : { ...options, maxBatchSize: 1, maxQueueDelayMs: 0 },
      () => performance.now(),
      (rows) => {
        const runMs = this.#estimate.runMs(rows, performance.now());
        return runMs === undefined ? undefined : runMs * predictionMargin;
      },
    );
  }

  /** Adds an instance that is free to run. */
  add(instance: ModelInstance): void {
    this.#slots.push({ instance, slab: new Slab(), busy: false, rows: 0, sinceMs: 0, hasBacklog: false });
    this.pump();
  }

  /** Forgets an instance that was lost or is to be retired: it gets no further work. */
  remove(instance: ModelInstance): void {
    const index = this.#slots.findIndex((slot) => slot.instance === instance);
    if (index >= 0) this.#slots.splice(index, 1);
    this.onInstanceChange();
  }

  get instances(): readonly ModelInstance[] {
    return this.#slots.map(({ instance }) => instance);
  }

  get batched(): boolean {
    return this.#options.batched;
  }

  /** Whether answers are kept. */
  get caches(): boolean {
    return this.#parts.cache !== undefined;
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
   * @throws QueueFullError, DeadlineUnreachableError, QueueTimeoutError, DeadlinePassedError, InferenceCancelledError,
   *   NoInstanceError, ModelFailedError, RunTooLongError
   */
  async infer<R>(
    inputs: readonly Tensor[],
    rows: number,
    options: InferOptions,
    read: (outputs: readonly Tensor[]) => R,
  ): Promise<R> {
    const { cache } = this.#parts;
    if (cache === undefined || options.bypassCache === true) return this.#enqueue(inputs, rows, options, read);
    const startedMs = performance.now();
    const key = cache.keyOf(inputs);
    const kept = cache.get(key);
    const lookupNs = (performance.now() - startedMs) * 1e6;
    if (kept !== undefined) {
      const answer = read(kept);
      this.statistics.hit(rows, lookupNs, (performance.now() - startedMs) * 1e6);
      return answer;
    }
    add(this.statistics.cacheMiss, 1, lookupNs);
    return this.#enqueue(inputs, rows, options, (outputs) => {
      const keepMs = performance.now();
      cache.set(key, outputs);
      add(this.statistics.cacheMiss, 0, (performance.now() - keepMs) * 1e6);
      return read(outputs);
    });
  }

  #enqueue<R>(
    inputs: readonly Tensor[],
    rows: number,
    { deadlineMs, signal, priority, queueTimeoutMs }: InferOptions,
    read: (outputs: readonly Tensor[]) => R,
  ): Promise<R> {
    return new Promise<R>((resolve, reject) => {
      const arrivedMs = performance.now();
      const place = this.#order?.enter(levelOf(this.#options, priority));
      const request: Request = {
        inputs,
        rows: this.#options.batched ? rows : 1,
        group: this.#options.batched ? groupOf(inputs) : "",
        // The system's clock may be set; the queue's never goes back.
        expiresAtMs: deadlineMs === undefined ? undefined : arrivedMs + deadlineMs - Date.now(),
        priority,
        timeoutMs: queueTimeoutMs,
        arrivedMs,
        signal,
        onAbort: signal === undefined ? undefined : () => this.#cancel(request),
        place,
        read: (outputs) => {
          let result: R;
          try {
            result = read(outputs);
          } catch (error) {
            this.#fail(request, "OTHER", error);
            return;
          }
          if (place === undefined) succeed(result);
          else place.settle(() => succeed(result));
        },
        reject,
      };
      const succeed = (result: R) => {
        this.statistics.succeeded((performance.now() - arrivedMs) * 1e6);
        resolve(result);
      };
      try {
        if (signal?.aborted === true) throw new InferenceCancelledError();
        if (!this.alive) throw new NoInstanceError();
        this.#refuseTheLate(request);
        this.#queue.offer(request, this.#retryAfterMs());
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

  /**
   * Refuses a request that would be answered after its deadline, so that the time of the instances goes to requests whose
   * callers still wait. Where nothing is ahead of it, it is never refused: its run is what the estimate recovers by.
   */
  #refuseTheLate({ rows, priority, expiresAtMs, arrivedMs }: Request): void {
    if (expiresAtMs === undefined) return;
    let alive = 0;
    let leftMs = Infinity;
    for (const { instance, rows: running, sinceMs } of this.#slots) {
      if (instance.state !== "free" && instance.state !== "running") continue;
      alive++;
      const runMs = instance.state === "free" ? 0 : (this.#estimate.runMs(running, arrivedMs) ?? 0);
      leftMs = Math.min(leftMs, runMs === 0 ? 0 : Math.max(0, sinceMs + runMs - arrivedMs));
    }
    if (alive === 0) return;
    const ahead = this.#queue.rowsAhead(priority);
    if (ahead === 0 && leftMs === 0) return;
    const largest = this.#options.batched ? this.#options.maxBatchSize : 1;
    const workMs = this.#estimate.workMs(ahead + Math.max(1, rows), largest, alive, arrivedMs);
    if (workMs === undefined) return;
    const predictedMs = (leftMs + workMs) * predictionMargin;
    const untilMs = expiresAtMs - arrivedMs;
    if (predictedMs <= untilMs) return;
    throw new DeadlineUnreachableError(predictedMs, untilMs, Math.max(1, Math.ceil(predictedMs - untilMs)));
  }

  /** What a refused caller is told to wait, in ms: the time of two full runs. */
  #retryAfterMs(): number {
    const largest = this.#options.batched ? this.#options.maxBatchSize : 1;
    return Math.max(1, Math.ceil(2 * (this.#estimate.runMs(largest, performance.now()) ?? 1)));
  }

  /** Gives work to free instances. Called when a request came, an instance became free, or a wait is over. */
  pump(): void {
    clearTimeout(this.#timer);
    for (const slot of this.#slots) {
      if (slot.busy || slot.instance.state !== "free") continue;
      const taken = this.#queue.take();
      const { batch, lookAgainAtMs } = taken;
      this.#tellSwept(taken);
      if (lookAgainAtMs !== undefined) {
        const waitMs = lookAgainAtMs - performance.now();
        this.#timer = setTimeout(() => this.pump(), Math.max(0, waitMs));
      }
      if (batch === undefined) break;
      this.#running++;
      const nowMs = performance.now();
      if (slot.hasBacklog) this.#estimate.worked(slot.rows, nowMs - slot.sinceMs, nowMs);
      slot.busy = true;
      slot.rows = batch.rows;
      slot.sinceMs = nowMs;
      slot.hasBacklog = this.#queue.waiting > 0;
      void this.#runBatch(slot, batch).finally(() => {
        this.#running--;
        slot.busy = false;
        this.pump();
      });
    }
    this.#awaitTimeouts();
    if (this.#running === 0 && this.#queue.waiting === 0) {
      for (const done of this.#onEmpty.splice(0)) done();
    }
  }

  /** Requests are told of their queue's timeout when it passes, also while no instance is free. */
  #awaitTimeouts(): void {
    const { nextTimeoutMs } = this.#queue;
    if (this.#sweepTimer !== undefined || nextTimeoutMs === Infinity) return;
    this.#sweepTimer = setTimeout(
      () => {
        this.#sweepTimer = undefined;
        this.#tellSwept(this.#queue.sweep());
        this.pump();
      },
      Math.max(0, Math.ceil(nextTimeoutMs - performance.now())),
    );
  }

  #tellSwept({ expired, timedOut, delayed }: Swept<Request>): void {
    if (expired.length + timedOut.length + delayed.length === 0) return;
    const nowMs = performance.now();
    for (const request of expired) this.#fail(request, "REJECTED", new DeadlinePassedError(nowMs - request.arrivedMs));
    for (const request of timedOut) {
      this.#fail(request, "REJECTED", new QueueTimeoutError(nowMs - request.arrivedMs, this.#retryAfterMs()));
    }
    // Those behind a late request do not wait for it.
    for (const { place } of delayed) place?.forfeit();
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
    clearTimeout(this.#sweepTimer);
    if (this.#parts.retireInstances === undefined) {
      await Promise.all(this.#slots.map(({ instance }) => instance.close()));
    } else {
      await this.#parts.retireInstances();
    }
  }

  /** Called when an instance became wedged, free again, or was lost. */
  onInstanceChange(): void {
    if (!this.alive) this.#abandon();
    this.pump();
  }

  /** Answers everything that waits, because no instance is left that could run it. */
  #abandon(): void {
    for (;;) {
      const taken = this.#queue.take();
      this.#tellSwept(taken);
      if (taken.batch === undefined) return;
      for (const request of taken.batch.requests) this.#fail(request, "REJECTED", new NoInstanceError());
    }
  }

  async #runBatch(slot: Slot, { requests, rows, closed }: Batch<Request>): Promise<void> {
    const startedMs = performance.now();
    for (const request of requests) {
      if (request.onAbort !== undefined) request.signal?.removeEventListener("abort", request.onAbort);
      this.statistics.waited((startedMs - request.arrivedMs) * 1e6);
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
      this.#answer(requests, rows, outputsOf(instance, slab.memory, laid.places, ran.unplaced));
      const endedMs = performance.now();
      this.#estimate.ran(rows, endedMs - startedMs, endedMs);
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
    const { place } = request;
    if (reason === "BACKEND" || reason === "OTHER") {
      if (place === undefined) request.reject(error);
      else place.settle(() => request.reject(error));
      return;
    }
    place?.forfeit();
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
