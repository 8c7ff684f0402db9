import type { Tensor, TensorSpec } from "@millrace/tensor";
import type { Servable } from "../serving/servable.ts";
import type { PipelineTensors } from "./pipeline-plan.ts";
import type { RouterPlan } from "./router-plan.ts";

/**
 * A pipeline whose models were found and fit together. Its tensors are numbered: those that callers give come first, in
 * the order of `inputs`.
 */
export interface BoundPipeline extends PipelineTensors {
  /** The names of an output's classes, by output, for those that have names. */
  readonly labels: ReadonlyMap<string, readonly string[]>;
  /** Whether every model joins requests: then so does the pipeline, row by row. */
  readonly batched: boolean;
  /** The tensors' names, by number. */
  readonly tensors: readonly string[];
  /** By output: the number of its tensor. */
  readonly outputTensors: readonly number[];
  readonly steps: readonly BoundStep[];
  /** By tensor: the steps that read it, each once. */
  readonly readers: readonly (readonly number[])[];
  /** Whether two models may run at once: then the failure of one ends the others. */
  readonly parallel: boolean;
}

export interface BoundStep {
  readonly name: string;
  readonly models: readonly string[];
  readonly modelVersion: string;
  readonly router: (RouterPlan & { readonly tensorNumber: number }) | undefined;
  /** What its models take and give. */
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
  /** By input of the model: the number of its tensor. */
  readonly reads: ReadonlyMap<string, number>;
  /** By output of the model: the number of its tensor, for those that somebody reads. */
  readonly writes: ReadonlyMap<string, number>;
  /** The tensors that it waits for, each once. */
  readonly waitsFor: readonly number[];
  /** Those of its models that were found to take and give the same tensors. */
  readonly fitting: WeakMap<Servable, FittingModel>;
}

/** The order in which a model has a step's tensors. */
export interface FittingModel {
  /** In the order of the model's inputs. */
  readonly reads: readonly number[];
  /** In the order of the model's outputs; undefined for those that nobody reads. */
  readonly writes: readonly (number | undefined)[];
}

/** How a model has the tensors of a step; undefined where it takes or gives others. */
export const fittingModel = (step: BoundStep, served: Servable): FittingModel | undefined => {
  const known = step.fitting.get(served);
  if (known !== undefined) return known;
  if (whatDiffers(step, served) !== undefined) return undefined;
  const fitting: FittingModel = {
    reads: served.inputs.map(({ name }) => step.reads.get(name) ?? -1),
    writes: served.outputs.map(({ name }) => step.writes.get(name)),
  };
  step.fitting.set(served, fitting);
  return fitting;
};

/** The tensors of a model, in any order. */
interface TakesAndGives {
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
}

/** What a model takes or gives otherwise than another, in words; undefined where they are alike. */
export const whatDiffers = (expected: TakesAndGives, got: TakesAndGives): string | undefined => {
  for (const side of ["inputs", "outputs"] as const) {
    for (const spec of expected[side]) {
      const other = got[side].find(({ name }) => name === spec.name);
      if (other === undefined) return `no ${spec.name} among its ${side}`;
      if (specText(spec) !== specText(other)) return `${spec.name} as ${specText(other)}`;
    }
    if (got[side].length !== expected[side].length) {
      const more = got[side].find(({ name }) => !expected[side].some((spec) => spec.name === name));
      return `a further ${more?.name} among its ${side}`;
    }
  }
  return undefined;
};

/** A tensor's type for people: `FP32 [-1, 28]`. */
export const specText = ({ datatype, shape }: Pick<Tensor, "datatype" | "shape">): string =>
  `${datatype} [${shape.join(", ")}]`;

/** Whether each step waits for the one before, so that one runs at a time. */
export const isChain = (steps: readonly BoundStep[]): boolean => {
  const gives = steps.map(({ writes }) => new Set(writes.values()));
  const after = (a: number, b: number): boolean => steps[b]?.waitsFor.some((tensor) => gives[a]?.has(tensor)) ?? false;
  const reach = steps.map((_, a) => steps.map((_, b) => after(a, b)));
  for (const middle of steps.keys())
    for (const row of reach)
      if (row[middle] === true) for (const [b, reached] of (reach[middle] ?? []).entries()) if (reached) row[b] = true;
  return reach.every((row, a) => row.every((reached, b) => a === b || reached || reach[b]?.[a] === true));
};
