import { type Batch, DynamicBatching, levelOf, Slab, type Swept, type Tensor } from "@millrace/tensor";
import { AnswerOrder, type AnswerPlace } from "./answer-order.ts";
import { DeadlineMargin } from "./deadline-margin.ts";
import type { InferOptions, LaneOptions, LaneParts } from "./lane-options.ts";
import { groupOf, type LaneRequest } from "./lane-request.ts";
import type { ModelInstance } from "./model-instance.ts";
import type { FailureReason, ModelStatistics } from "./model-statistics.ts";
import { DeadlinePassedError, InferenceCancelledError, NoInstanceError, QueueTimeoutError } from "./queue-errors.ts";
import { batchMargin, refuseTheLate } from "./refuse-the-late.ts";
import { type LaneSlot, type RunRecords, runRequests } from "./run-requests.ts";
import { RunTimeEstimate } from "./run-time-estimate.ts";

/** The longest that a timer takes, in ms: with more it goes off at once. */
const longestTimerMs = 2 ** 31 - 1;

const timerMs = (waitMs: number): number => Math.min(longestTimerMs, Math.max(0, Math.ceil(waitMs)));

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
  readonly #queue: DynamicBatching<LaneRequest>;
  readonly #slots: LaneSlot[] = [];
  readonly #parts: LaneParts;
  readonly #estimate = new RunTimeEstimate();
  readonly #margin = new DeadlineMargin();
  readonly #records: RunRecords;
  readonly #order: AnswerOrder | undefined;
  #timer: NodeJS.Timeout | undefined;
  #sweepTimer: NodeJS.Timeout | undefined;
  /** When the timer of the queue's timeouts goes off, in ms of the queue's clock. */
  #sweepAtMs = Infinity;
  #pumpIsDue = false;
  #running = 0;
  #onEmpty: (() => void)[] = [];

  constructor(options: LaneOptions, statistics: ModelStatistics, parts: LaneParts = {}) {
    this.#options = options;
    this.#parts = parts;
    this.#order = options.preserveOrdering === true ? new AnswerOrder() : undefined;
    this.statistics = statistics;
    this.#records = { batched: options.batched, statistics, estimate: this.#estimate };
    this.#queue = new DynamicBatching<LaneRequest>(
      options.batched ? options : { ...options, maxBatchSize: 1, maxQueueDelayMs: 0 },
      () => performance.now(),
      (rows) => {
        const runMs = this.#estimate.runMs(rows, performance.now());
        return runMs === undefined ? undefined : runMs * batchMargin;
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
  infer<R>(
    inputs: readonly Tensor[],
    rows: number,
    options: InferOptions,
    read: (outputs: readonly Tensor[]) => R,
  ): Promise<R> {
    const { cache } = this.#parts;
    const place = this.#order?.enter(levelOf(this.#options, options.priority));
    if (cache === undefined || options.bypassCache === true) return this.#enqueue(inputs, rows, options, place, read);
    return cache.answer({ inputs, rows, place }, this.statistics, read, (keepAndRead) =>
      this.#enqueue(inputs, rows, options, place, keepAndRead),
    );
  }

  #enqueue<R>(
    inputs: readonly Tensor[],
    rows: number,
    { deadlineMs, signal, priority, queueTimeoutMs }: InferOptions,
    place: AnswerPlace | undefined,
    read: (outputs: readonly Tensor[]) => R,
  ): Promise<R> {
    return new Promise<R>((resolve, reject) => {
      const arrivedMs = performance.now();
      const request: LaneRequest = {
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
        const nowMs = performance.now();
        this.#margin.answered(request, nowMs, signal?.aborted === true);
        this.statistics.succeeded((nowMs - arrivedMs) * 1e6);
        resolve(result);
      };
      try {
        if (signal?.aborted === true) throw new InferenceCancelledError();
        if (!this.alive) throw new NoInstanceError();
        refuseTheLate(request, {
          slots: this.#slots,
          rows: this.#queue.rowsAhead(priority),
          maxBatchSize: this.#largest,
          estimate: this.#estimate,
          marginFactor: this.#margin.factor,
        });
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

  /** Most rows in one run. */
  get #largest(): number {
    return this.#options.batched ? this.#options.maxBatchSize : 1;
  }

  /** What a refused caller is told to wait, in ms: the time of two full runs. */
  #retryAfterMs(): number {
    return Math.max(1, Math.ceil(2 * (this.#estimate.runMs(this.#largest, performance.now()) ?? 1)));
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
        this.#timer = setTimeout(() => this.pump(), timerMs(lookAgainAtMs - performance.now()));
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
        if (!slot.busy) slot.hasBacklog = false;
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
    if (nextTimeoutMs >= this.#sweepAtMs) return;
    clearTimeout(this.#sweepTimer);
    this.#sweepAtMs = nextTimeoutMs;
    this.#sweepTimer = setTimeout(
      () => {
        this.#sweepAtMs = Infinity;
        this.#tellSwept(this.#queue.sweep());
        this.pump();
      },
      timerMs(nextTimeoutMs - performance.now()),
    );
  }

  #tellSwept({ expired, timedOut, delayed }: Swept<LaneRequest>): void {
    if (expired.length + timedOut.length + delayed.length === 0) return;
    const nowMs = performance.now();
    for (const request of expired) {
      this.#margin.left(request, nowMs);
      this.#fail(request, "REJECTED", new DeadlinePassedError(nowMs - request.arrivedMs));
    }
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
    await (this.#parts.retireInstances?.() ?? Promise.all(this.#slots.map(({ instance }) => instance.close())));
  }

  /** Called when an instance became wedged, free again, or was lost. */
  onInstanceChange(): void {
    if (!this.alive) this.#abandon();
    this.pump();
  }

  /** Answers everything that waits, because no instance is left that could run it. */
  #abandon(): void {
    for (const request of this.#queue.clear()) this.#fail(request, "REJECTED", new NoInstanceError());
  }

  async #runBatch(slot: LaneSlot, { requests, rows, closed }: Batch<LaneRequest>): Promise<void> {
    const startedMs = performance.now();
    for (const request of requests) {
      if (request.onAbort !== undefined) request.signal?.removeEventListener("abort", request.onAbort);
      this.statistics.waited((startedMs - request.arrivedMs) * 1e6);
    }
    let failed = await runRequests(slot, { requests, rows, closed }, this.#records);
    if (failed === undefined) return;
    for (const request of requests) {
      // The values of one request can fail a run: each is run alone, so that the others are answered.
      if (requests.length > 1) {
        failed =
          slot.instance.state === "free"
            ? await runRequests(slot, { requests: [request], rows: request.rows, closed }, this.#records)
            : (failed ?? { error: new NoInstanceError() });
      }
      if (failed !== undefined) this.#fail(request, "BACKEND", failed.error);
    }
  }

  #cancel(request: LaneRequest): void {
    if (!this.#queue.remove(request)) return;
    this.#margin.left(request, performance.now());
    this.#fail(request, "CANCELED", new InferenceCancelledError());
  }

  #fail(request: LaneRequest, reason: FailureReason, error: unknown): void {
    if (request.onAbort !== undefined) request.signal?.removeEventListener("abort", request.onAbort);
    this.statistics.failed(reason, (performance.now() - request.arrivedMs) * 1e6);
    const { place } = request;
    if (place !== undefined && (reason === "BACKEND" || reason === "OTHER")) {
      place.settle(() => request.reject(error));
      return;
    }
    place?.forfeit();
    request.reject(error);
  }
}
