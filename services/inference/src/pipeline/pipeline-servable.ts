import { MillraceError, Reason } from "@millrace/errors";
import type { Tensor, TensorSpec } from "@millrace/tensor";
import { add, type FailureReason, ModelStatistics } from "../execution/model-statistics.ts";
import { Leases } from "../serving/leases.ts";
import type { ModelRoster } from "../serving/model-roster.ts";
import type { ModelOrigin, PredictPolicy, RunOptions, Servable } from "../serving/servable.ts";
import { ModelNotReadyError } from "../serving/serving-errors.ts";
import type { RoutingKeys } from "../serving/traffic-rules.ts";
import { bindPipeline } from "./bind-pipeline.ts";
import type { BoundPipeline } from "./bound-pipeline.ts";
import { PipelineCall } from "./pipeline-call.ts";
import type { PipelinePlan } from "./pipeline-plan.ts";
import { StepStatisticsTable } from "./step-statistics.ts";

export interface PipelineServableParts {
  readonly plan: PipelinePlan;
  readonly roster: ModelRoster;
  readonly policy: PredictPolicy;
  readonly maxMessageBytes: number | undefined;
  /** Called when the pipeline becomes able to run, or stops being so, or for another reason than before. */
  readonly onChange: () => void;
  /**
   * Called once, where its models fit together again and callers would see other tensors than before. It serves on as it
   * is, and follows its models no more: another has to take its place.
   */
  readonly onOutgrown: () => void;
}

/**
 * A pipeline behind a name: calls go through each model's own lane. It holds no model. Which ones there are is looked up
 * anew with every change of the roster, and who answers a step with every call, so that it follows swaps; where a model
 * is missing, or no longer fits, it says so and takes no calls until that is over.
 */
export class PipelineServable implements Servable {
  readonly platform = "ensemble";
  readonly statistics = new ModelStatistics();
  readonly stepStatistics = new StepStatisticsTable();
  readonly waiting = 0;
  readonly executionProvider = { name: "ensemble", reason: "each of its models says its own" };
  readonly instanceCount = 0;
  readonly goldenExamples = 0;
  readonly memoryBytes = 0;
  readonly loadSeconds = 0;
  readonly origin: ModelOrigin;
  readonly plan: PipelinePlan;
  readonly #parts: PipelineServableParts;
  readonly #leases = new Leases();
  readonly #unwatch: () => void;
  #bound: BoundPipeline | undefined;
  /** The tensors that it was first bound with. */
  #callersSee: string | undefined;
  /** Why it is not bound. */
  #error: MillraceError | undefined;

  constructor(parts: PipelineServableParts) {
    this.#parts = parts;
    this.plan = parts.plan;
    this.origin = {
      reference: `pipeline of ${modelsText(parts.plan)}`,
      digest: "",
      repository: "",
      manifest: undefined,
    };
    this.#bind();
    this.#unwatch = parts.roster.watch(() => this.#follow());
  }

  get name(): string {
    return this.plan.name;
  }
  get version(): string {
    return this.plan.version;
  }
  get inputs(): readonly TensorSpec[] {
    return this.#bound?.inputs ?? [];
  }
  get outputs(): readonly TensorSpec[] {
    return this.#bound?.outputs ?? [];
  }
  get labels(): ReadonlyMap<string, readonly string[]> {
    return this.#bound?.labels ?? new Map();
  }
  get batched(): boolean {
    return this.#bound?.batched ?? false;
  }
  get maxBatchSize(): number {
    return this.#bound?.maxBatchSize ?? 1;
  }
  get policy(): PredictPolicy {
    return this.#parts.policy;
  }
  get maxMessageBytes(): number | undefined {
    return this.#parts.maxMessageBytes;
  }
  get alive(): boolean {
    return this.#bound !== undefined;
  }
  get whyNotAlive(): string | undefined {
    return this.#error?.message;
  }
  /** Why it takes no calls; undefined where it does. */
  get error(): MillraceError | undefined {
    return this.#error;
  }
  /** Its steps with their models, where it is bound. */
  get bound(): BoundPipeline | undefined {
    return this.#bound;
  }

  /** Whether a model of this name is among its models, or theirs. @param seen the pipelines that were looked into. */
  includes(name: string, seen = new Set<PipelineServable>()): boolean {
    if (seen.has(this)) return false;
    seen.add(this);
    return this.plan.steps.some(({ models }) =>
      models.some(
        (model) =>
          model === name ||
          this.#parts.roster
            .versions(model)
            .some((served) => served instanceof PipelineServable && served.includes(name, seen)),
      ),
    );
  }

  /** @throws PipelineStepError, ModelNotReadyError */
  async infer<R>(
    inputs: readonly Tensor[],
    rows: number,
    options: RunOptions,
    read: (outputs: readonly Tensor[]) => R,
  ): Promise<R> {
    const startedMs = performance.now();
    const release = this.#leases.take();
    try {
      if (this.#bound === undefined) {
        throw new ModelNotReadyError(this.name, this.version, "unavailable", this.whyNotAlive ?? "");
      }
      const call = new PipelineCall<R>(
        {
          name: this.name,
          bound: this.#bound,
          find: (model, version, own) => this.#parts.roster.find(model, version, keysOf(own)),
          statistics: this.stepStatistics,
          options,
          read,
        },
        inputs,
      );
      const answer = await call.run();
      const ns = (performance.now() - startedMs) * 1e6;
      this.statistics.executions++;
      this.statistics.inferences += rows;
      this.statistics.lastInferenceMs = Date.now();
      this.statistics.succeeded(ns);
      add(this.statistics.infer, 1, ns);
      return answer;
    } catch (error) {
      this.statistics.failed(failureReason(error), (performance.now() - startedMs) * 1e6);
      throw error;
    } finally {
      release();
    }
  }

  lease(): () => void {
    return this.#leases.take();
  }

  async retire(): Promise<void> {
    this.#unwatch();
    await this.#leases.released();
  }

  /** Binds it anew to the models that there are. */
  #follow(): void {
    const before = this.#error?.message;
    if (!this.#bind()) {
      this.#unwatch();
      this.#parts.onOutgrown();
    } else if (this.#error?.message !== before) {
      this.#parts.onChange();
    }
  }

  /** @returns false where callers would see other tensors than before: what answers behind a name keeps its tensors. */
  #bind(): boolean {
    try {
      const bound = bindPipeline(this.plan, (model, version) => this.#find(model, version));
      const tensors = JSON.stringify([bound.inputs, bound.outputs, bound.batched]);
      this.#callersSee ??= tensors;
      if (tensors !== this.#callersSee) return false;
      this.#bound = bound;
      this.#error = undefined;
    } catch (error) {
      this.#bound = undefined;
      // Whoever changes the roster is not to fail for a pipeline: its status tells, and the log has the cause.
      this.#error =
        error instanceof MillraceError
          ? error
          : new MillraceError("INTERNAL", Reason.INTERNAL, "The pipeline could not be bound.", { cause: error });
    }
    return true;
  }

  /** The model that a step is bound to. One whose workers are wedged has its tensors all the same. */
  #find(model: string, version: string): Servable {
    const { roster } = this.#parts;
    let served: Servable | undefined;
    try {
      served = roster.find(model, version);
    } catch (error) {
      const versions = roster.versions(model);
      served = version === "" ? versions.at(-1) : versions.find((other) => other.version === version);
      if (served === undefined || served.whyNotAlive !== undefined) throw error;
    }
    if (served instanceof PipelineServable && served.includes(this.name)) {
      throw new MillraceError(
        "FAILED_PRECONDITION",
        Reason.DECLARATION_INVALID,
        `The pipeline ${model} includes the pipeline ${this.name}.`,
      );
    }
    return served;
  }
}

const modelsText = ({ steps }: PipelinePlan): string => [...new Set(steps.flatMap(({ models }) => models))].join(", ");

const keysOf = (options: RunOptions): RoutingKeys | undefined => {
  const { header, parameter, entity } = options;
  if (header === undefined) return undefined;
  return {
    header,
    ...(parameter === undefined ? {} : { parameter }),
    ...(entity === undefined ? {} : { entity }),
  };
};

const failureReason = (error: unknown): FailureReason => {
  if (!(error instanceof MillraceError)) return "OTHER";
  switch (error.code) {
    case "CANCELLED":
      return "CANCELED";
    case "RESOURCE_EXHAUSTED":
    case "DEADLINE_EXCEEDED":
    case "UNAVAILABLE":
      return "REJECTED";
    default:
      return error.reason === Reason.MODEL_FAILED ? "BACKEND" : "OTHER";
  }
};
