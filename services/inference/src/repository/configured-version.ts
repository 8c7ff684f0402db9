import type { ModelConfig } from "@millrace/contracts/inference/model_config";
import type { Tensor, TensorSpec } from "@millrace/tensor";
import type { ModelStatistics } from "../execution/model-statistics.ts";
import type { ModelOrigin, PredictPolicy, RunOptions, Servable } from "../serving/servable.ts";
import type { ServedVersion } from "../serving/served-version.ts";
import { type FittedTensor, type FittedTensors, reshaped } from "./config/fit-to-graph.ts";

/**
 * A version of a model as its configuration presents it: with narrower dimensions, other shapes of the same elements,
 * fewer outputs, and names of classes.
 */
export class ConfiguredVersion implements Servable {
  readonly version: string;
  readonly name: string;
  readonly platform: string;
  readonly origin: ModelOrigin;
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
  readonly labels: ReadonlyMap<string, readonly string[]>;
  readonly executionProvider: { readonly name: string; readonly reason: string };
  readonly goldenExamples: number;
  readonly memoryBytes: number;
  readonly loadSeconds: number;
  readonly batched: boolean;
  readonly maxBatchSize: number;
  /** As it was given; what of it is in force the lane of `model` says. */
  readonly config: ModelConfig;
  /** What runs. */
  readonly model: ServedVersion;
  readonly #inputs: readonly FittedTensor[];
  readonly #outputs: readonly FittedTensor[];
  readonly #reshapesInputs: boolean;
  readonly #changesOutputs: boolean;

  constructor(
    model: ServedVersion,
    config: ModelConfig,
    { inputs, outputs }: FittedTensors,
    labels: ReadonlyMap<string, readonly string[]>,
  ) {
    this.model = model;
    this.config = config;
    this.name = model.name;
    this.version = model.version;
    this.platform = model.platform;
    this.origin = model.origin;
    this.inputs = inputs.map(({ spec }) => spec);
    this.outputs = outputs.map(({ spec }) => spec);
    this.labels = labels;
    this.executionProvider = model.executionProvider;
    this.goldenExamples = model.goldenExamples;
    this.memoryBytes = model.memoryBytes;
    this.loadSeconds = model.loadSeconds;
    this.batched = model.batched;
    this.maxBatchSize = model.maxBatchSize;
    this.#inputs = inputs;
    this.#outputs = outputs;
    this.#reshapesInputs = inputs.some(({ graphShape }) => graphShape !== undefined);
    this.#changesOutputs =
      outputs.length !== model.outputs.length ||
      outputs.some(({ graphShape, place }, index) => graphShape !== undefined || place !== index);
  }

  get policy(): PredictPolicy {
    return this.model.policy;
  }
  get maxMessageBytes(): number | undefined {
    return this.model.maxMessageBytes;
  }
  get statistics(): ModelStatistics {
    return this.model.statistics;
  }
  get alive(): boolean {
    return this.model.alive;
  }
  get priorityLevels(): number | undefined {
    return this.model.priorityLevels;
  }
  get waiting(): number {
    return this.model.waiting;
  }
  get instanceCount(): number {
    return this.model.instanceCount;
  }

  infer<R>(
    inputs: readonly Tensor[],
    rows: number,
    options: RunOptions,
    read: (outputs: readonly Tensor[]) => R,
  ): Promise<R> {
    const given = this.#reshapesInputs ? inputs.map((tensor, index) => this.#toGraph(tensor, index)) : inputs;
    if (!this.#changesOutputs) return this.model.infer(given, rows, options, read);
    return this.model.infer(given, rows, options, (outputs) => read(this.#fromGraph(outputs)));
  }

  lease(): () => void {
    return this.model.lease();
  }

  async retire(): Promise<void> {
    await this.model.retire();
  }

  #toGraph(tensor: Tensor, index: number): Tensor {
    const fitted = this.#inputs[index];
    if (fitted?.graphShape === undefined) return tensor;
    return { ...tensor, shape: reshaped(tensor.shape, fitted.spec.shape, fitted.graphShape) };
  }

  #fromGraph(outputs: readonly Tensor[]): Tensor[] {
    return this.#outputs.flatMap(({ place, spec, graphShape }) => {
      const tensor = outputs[place];
      if (tensor === undefined || graphShape === undefined) return tensor ?? [];
      return { ...tensor, shape: reshaped(tensor.shape, graphShape, spec.shape) };
    });
  }
}
