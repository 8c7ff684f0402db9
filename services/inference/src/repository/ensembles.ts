import type { ModelConfig } from "@millrace/contracts/inference/model_config";
import type { FieldViolation, MillraceError } from "@millrace/errors";
import { type PipelinePlan, type PipelineTensors, planPipeline } from "../pipeline/pipeline-plan.ts";
import { servePipeline } from "../pipeline/serve-pipeline.ts";
import type { ModelRoster } from "../serving/model-roster.ts";
import { defaultPolicy } from "../serving/servable.ts";
import { ensemblePipeline } from "./config/ensemble-pipeline.ts";
import { fitToGraph } from "./config/fit-to-graph.ts";
import { ModelConfigInvalidError } from "./config/model-config-invalid-error.ts";

export interface EnsemblesObserver {
  onLoaded(name: string, version: string, text: string): void;
  onFailed(name: string, version: string, error: MillraceError): void;
  onDefect(error: unknown): void;
}

/** The ensembles of a repository: each is a pipeline that follows its models for as long as it is loaded. */
export class Ensembles {
  readonly #roster: ModelRoster;
  readonly #observer: EnsemblesObserver;
  readonly #loaded = new Map<string, { readonly abort: AbortController; readonly models: readonly string[] }>();

  constructor(roster: ModelRoster, observer: EnsemblesObserver) {
    this.#roster = roster;
    this.#observer = observer;
  }

  /** The models of an ensemble that is loaded; none for others. */
  modelsOf(name: string): readonly string[] {
    return this.#loaded.get(name)?.models ?? [];
  }

  /**
   * Puts an ensemble in the place of what its name had before.
   * @returns what begins to serve it: at once, or as soon as its models are there.
   * @throws ModelConfigInvalidError
   */
  put(name: string, version: string, path: string, config: ModelConfig): () => void {
    const violations: FieldViolation[] = [];
    const plan = planPipeline(name, ensemblePipeline(config, name, version), "ensemble_scheduling", violations);
    for (const side of ["input", "output"] as const) {
      for (const [index, { reshape }] of config[side].entries()) {
        if (reshape === undefined) continue;
        violations.push({ field: `${side}[${index}].reshape`, expected: "none in an ensemble", got: "a reshape" });
      }
    }
    if (violations.length > 0) throw new ModelConfigInvalidError(name, violations);
    return () => this.#begin({ ...plan, hold: (tensors) => heldTo(config, name, tensors) }, path);
  }

  #begin(plan: PipelinePlan, path: string): void {
    const { name, version } = plan;
    this.release(name);
    const abort = new AbortController();
    this.#loaded.set(name, { abort, models: [...new Set(plan.steps.flatMap(({ models }) => models))] });
    const record = this.#roster.begin(name, version, path);
    servePipeline(
      this.#roster,
      { plan, policy: defaultPolicy, maxMessageBytes: undefined },
      record,
      {
        onServes: () => this.#observer.onLoaded(name, version, "an ensemble"),
        onFailed: (error) => this.#observer.onFailed(name, version, error),
      },
      abort.signal,
    ).catch(this.#observer.onDefect);
  }

  /** Ends what is on its way. What serves is the roster's. */
  release(name: string): void {
    this.#loaded.get(name)?.abort.abort();
    this.#loaded.delete(name);
  }

  close(): void {
    for (const name of [...this.#loaded.keys()]) this.release(name);
  }
}

/** Holds what follows from an ensemble's models to its configuration. @throws ModelConfigInvalidError */
const heldTo = (config: ModelConfig, name: string, tensors: PipelineTensors): PipelineTensors => {
  const { inputs, outputs } = fitToGraph(config, name, tensors);
  return {
    inputs: inputs.map(({ spec }) => spec),
    outputs: outputs.map(({ spec }) => spec),
    maxBatchSize: config.maxBatchSize > 0 ? Math.min(config.maxBatchSize, tensors.maxBatchSize) : tensors.maxBatchSize,
  };
};
