import { MillraceError, Reason } from "@millrace/errors";
import type { Tensor } from "@millrace/tensor";
import { inputsOf } from "../protocol/model-inputs.ts";
import type { RunOptions, Servable } from "../serving/servable.ts";
import { ModelNotReadyError } from "../serving/serving-errors.ts";
import { type BoundPipeline, type BoundStep, type FittingModel, fittingModel } from "./bound-pipeline.ts";
import { PipelineStepError } from "./pipeline-errors.ts";
import { gatherRows, MergedRows, routeRows } from "./routed-rows.ts";
import type { StepStatisticsTable } from "./step-statistics.ts";

export interface PipelineCallParts<R> {
  readonly name: string;
  readonly bound: BoundPipeline;
  /** The model that answers a step's call now. */
  readonly find: (model: string, version: string, options: RunOptions) => Servable;
  readonly statistics: StepStatisticsTable;
  readonly options: RunOptions;
  readonly read: (outputs: readonly Tensor[]) => R;
}

/**
 * One call of a pipeline on its way. A step starts when the tensors that it reads are there, in the turn of the event
 * loop in which the last of them came, and goes through its model's own lane: it is joined with whatever else waits for
 * that model. The outputs of the step that ends last are read where they lie; those of the others are copied once, since
 * the memory of a run is the next run's as soon as it is read.
 */
export class PipelineCall<R> {
  readonly #parts: PipelineCallParts<R>;
  readonly #tensors: (Tensor | undefined)[];
  /** By step: the tensors that it still waits for. */
  readonly #missing: number[];
  readonly #outcome = Promise.withResolvers<R>();
  readonly #abort: AbortController | undefined;
  readonly #options: RunOptions;
  readonly #onAbort = () => this.#abort?.abort();
  #stepsLeft: number;
  #over = false;

  /** @param inputs in the pipeline's order. */
  constructor(parts: PipelineCallParts<R>, inputs: readonly Tensor[]) {
    const { bound, options } = parts;
    this.#parts = parts;
    this.#tensors = [...inputs];
    this.#missing = bound.steps.map(({ waitsFor }) => waitsFor.length);
    this.#stepsLeft = bound.steps.length;
    this.#abort = bound.parallel ? new AbortController() : undefined;
    this.#options = this.#abort === undefined ? options : handOn(options, this.#abort.signal);
  }

  /** Runs it. Called once. @throws PipelineStepError, and what `read` throws. */
  async run(): Promise<R> {
    const { bound, options } = this.#parts;
    if (this.#abort !== undefined) {
      if (options.signal?.aborted === true) this.#abort.abort();
      else options.signal?.addEventListener("abort", this.#onAbort, { once: true });
    }
    for (const number of bound.inputs.keys()) this.#arrived(number);
    try {
      return await this.#outcome.promise;
    } finally {
      options.signal?.removeEventListener("abort", this.#onAbort);
    }
  }

  #arrived(tensor: number): void {
    for (const step of this.#parts.bound.readers[tensor] ?? []) {
      const left = (this.#missing[step] ?? 0) - 1;
      this.#missing[step] = left;
      if (left === 0) this.#start(step);
    }
  }

  #start(index: number): void {
    const step = this.#parts.bound.steps[index];
    if (step === undefined || this.#over) return;
    if (step.router !== undefined) void this.#route(step, step.router);
    else void this.#infer(step, step.models[0] ?? "", undefined, (outputs, fitting) => this.#give(outputs, fitting));
  }

  /** Runs each model of a router on its rows, and gives their answers in the order of the request. */
  async #route(step: BoundStep, router: NonNullable<BoundStep["router"]>): Promise<void> {
    try {
      const tensor = this.#tensors[router.tensorNumber];
      if (tensor === undefined) throw new TypeError(`The router of ${step.name} started without its tensor.`);
      const routed = routeRows(router, tensor);
      if (routed.size === 1) {
        const [model = ""] = routed.keys();
        await this.#infer(step, model, undefined, (outputs, fitting) => this.#give(outputs, fitting));
        return;
      }
      const merged = new MergedRows(tensor.shape[0] ?? 0);
      const numbers = [...step.writes.values()];
      const runs = [...routed].map(([model, rows]) =>
        this.#infer(step, model, rows, (outputs, { writes }) => {
          merged.add(
            rows,
            numbers.map((number) => outputs[writes.indexOf(number)]),
          );
        }),
      );
      const answered = await Promise.all(runs);
      if (answered.every(Boolean)) this.#give(merged.tensors(), { reads: [], writes: numbers });
    } catch (error) {
      this.#fail(step.name, "router", error);
    }
  }

  /**
   * Runs a model of a step through its lane.
   * @param rows those that it gets of a request that is split; undefined for the whole.
   * @param read takes the model's outputs, as views that are void when it returns.
   * @returns whether it answered. Where it did not the call has failed.
   */
  async #infer(
    step: BoundStep,
    model: string,
    rows: readonly number[] | undefined,
    read: (outputs: readonly Tensor[], fitting: FittingModel) => void,
  ): Promise<boolean> {
    const { find, statistics } = this.#parts;
    const startedMs = performance.now();
    let release = () => {};
    try {
      const served = find(model, step.modelVersion, this.#options);
      release = served.lease();
      const fitting = fittingModel(step, served);
      if (fitting === undefined) {
        throw new ModelNotReadyError(model, served.version, "changed", "It takes or gives other tensors than it did.");
      }
      const tensors = fitting.reads.map((number, place) => {
        const tensor = this.#tensors[number];
        if (tensor === undefined) throw new TypeError(`${step.name} started without a tensor.`);
        const own = rows === undefined ? tensor : gatherRows(tensor, rows);
        return { ...own, name: served.inputs[place]?.name ?? own.name };
      });
      const { inputs, rows: count } = inputsOf(tensors, served.inputs, served.batched, served.maxBatchSize);
      await served.infer(inputs, count, this.#options, (outputs) => read(outputs, fitting));
      statistics.of(step.name, model).ran((performance.now() - startedMs) * 1e6);
      return true;
    } catch (error) {
      this.#fail(step.name, model, error);
      return false;
    } finally {
      release();
    }
  }

  /** Takes a step's outputs, and starts what waited for them; the last step's outputs are the answer. */
  #give(outputs: readonly (Tensor | undefined)[], { writes }: FittingModel): void {
    if (this.#over) return;
    const { bound } = this.#parts;
    const last = --this.#stepsLeft === 0;
    const came: number[] = [];
    for (const [place, number] of writes.entries()) {
      const output = outputs[place];
      if (number === undefined || output === undefined) continue;
      const { datatype, shape, data } = output;
      // Only what lies in a run's shared memory is void after the read.
      const kept = last || !(data.buffer instanceof SharedArrayBuffer) ? data : new Uint8Array(data);
      this.#tensors[number] = { name: bound.tensors[number] ?? output.name, datatype, shape, data: kept };
      came.push(number);
    }
    if (last) this.#answer();
    else for (const number of came) this.#arrived(number);
  }

  #answer(): void {
    const { bound, read, name } = this.#parts;
    this.#over = true;
    const outputs = bound.outputTensors.map((number, place): Tensor => {
      const tensor = this.#tensors[number];
      if (tensor === undefined) throw new TypeError(`${name} ended without ${bound.tensors[number]}.`);
      return { ...tensor, name: bound.outputs[place]?.name ?? tensor.name };
    });
    try {
      this.#outcome.resolve(read(outputs));
    } catch (error) {
      // The reader's error is no step's.
      this.#outcome.reject(error);
    }
  }

  /** Ends the call with a step's error, and takes what other steps have in queues out of them. */
  #fail(step: string, model: string, error: unknown): void {
    if (this.#over) return;
    this.#over = true;
    const cause = error instanceof MillraceError ? error : undefined;
    this.#parts.statistics.of(step, model).failed(cause?.code ?? "INTERNAL");
    this.#outcome.reject(
      new PipelineStepError(
        this.#parts.name,
        step,
        model,
        cause ?? new MillraceError("INTERNAL", Reason.INTERNAL, "It failed.", { cause: error }),
      ),
    );
    this.#abort?.abort();
  }
}

/** The caller's options with another signal: those of `RoutingKeys` are methods, and stay theirs. */
const handOn = (options: RunOptions, signal: AbortSignal): RunOptions => ({ ...options, signal });
