import type { Tensor, TensorSpec } from "@millrace/tensor";
import type { InferOptions } from "../execution/lane-options.ts";
import type { ModelLane } from "../execution/model-lane.ts";
import type { ModelStatistics } from "../execution/model-statistics.ts";
import { Leases } from "./leases.ts";
import type { ModelOrigin, PredictPolicy, Servable } from "./servable.ts";

/** What a version of a model is made of. */
export interface ServedVersionParts {
  readonly name: string;
  readonly version: string;
  readonly origin: ModelOrigin;
  readonly lane: ModelLane;
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
  readonly labels?: ReadonlyMap<string, readonly string[]> | undefined;
  readonly executionProvider: { readonly name: string; readonly reason: string };
  readonly goldenExamples: number;
  readonly memoryBytes: number;
  readonly loadSeconds: number;
  readonly policy: PredictPolicy;
  readonly maxMessageBytes: number | undefined;
  /** What its instances read before each run. */
  readonly limits: { maxRunTimeMs: number };
  /** Called once it is freed. */
  readonly onRetired?: (() => void) | undefined;
}

/** What may be said of a version that serves without loading it anew. */
export interface ServingTerms {
  readonly policy: PredictPolicy;
  readonly maxMessageBytes: number | undefined;
  readonly maxRunTimeMs: number;
}

/** A version of a model that can run, and the lane that requests go through. */
export class ServedVersion implements Servable {
  readonly name: string;
  readonly version: string;
  readonly platform = "onnxruntime_onnx";
  readonly origin: ModelOrigin;
  readonly lane: ModelLane;
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
  readonly labels: ReadonlyMap<string, readonly string[]>;
  readonly executionProvider: { readonly name: string; readonly reason: string };
  readonly goldenExamples: number;
  readonly memoryBytes: number;
  readonly loadSeconds: number;
  readonly #leases = new Leases();
  readonly #limits: { maxRunTimeMs: number };
  readonly #onRetired: (() => void) | undefined;
  #policy: PredictPolicy;
  #maxMessageBytes: number | undefined;

  constructor(parts: ServedVersionParts) {
    this.name = parts.name;
    this.version = parts.version;
    this.origin = parts.origin;
    this.lane = parts.lane;
    this.inputs = parts.inputs;
    this.outputs = parts.outputs;
    this.labels = parts.labels ?? new Map();
    this.executionProvider = parts.executionProvider;
    this.goldenExamples = parts.goldenExamples;
    this.memoryBytes = parts.memoryBytes;
    this.loadSeconds = parts.loadSeconds;
    this.#limits = parts.limits;
    this.#policy = parts.policy;
    this.#maxMessageBytes = parts.maxMessageBytes;
    this.#onRetired = parts.onRetired;
  }

  get policy(): PredictPolicy {
    return this.#policy;
  }
  get maxMessageBytes(): number | undefined {
    return this.#maxMessageBytes;
  }
  get batched(): boolean {
    return this.lane.batched;
  }
  get maxBatchSize(): number {
    return this.lane.options.maxBatchSize;
  }
  get priorityLevels(): number | undefined {
    return this.lane.options.priorityLevels;
  }
  get statistics(): ModelStatistics {
    return this.lane.statistics;
  }
  get alive(): boolean {
    return this.lane.alive;
  }
  get waiting(): number {
    return this.lane.waiting;
  }
  get instanceCount(): number {
    return this.lane.instances.length;
  }

  infer<R>(
    inputs: readonly Tensor[],
    rows: number,
    options: InferOptions,
    read: (outputs: readonly Tensor[]) => R,
  ): Promise<R> {
    return this.lane.infer(inputs, rows, options, read);
  }

  /** Puts other terms in force, without a load. Calls under way keep those that they began with. */
  govern(terms: ServingTerms): void {
    this.#policy = terms.policy;
    this.#maxMessageBytes = terms.maxMessageBytes;
    if (this.#limits.maxRunTimeMs === terms.maxRunTimeMs) return;
    this.#limits.maxRunTimeMs = terms.maxRunTimeMs;
    for (const instance of this.lane.instances) instance.limitRunsAnew();
  }

  lease(): () => void {
    return this.#leases.take();
  }

  async retire(): Promise<void> {
    await this.#leases.released();
    await this.lane.close();
    this.#onRetired?.();
  }
}
