import type { Pipeline, PipelineStep } from "@millrace/contracts/millrace/inference/v1/deployment";
import type { FieldViolation } from "@millrace/errors";
import type { TensorSpec } from "@millrace/tensor";
import { type RouterPlan, routerPlan } from "./router-plan.ts";

/** A graph of models as it was declared, checked as far as it can be without its models. */
export interface PipelinePlan {
  readonly name: string;
  /** A decimal integer. */
  readonly version: string;
  readonly steps: readonly StepPlan[];
  /** The pipeline's outputs: name to tensor. */
  readonly outputs: ReadonlyMap<string, string>;
  /** Path in the declaration, for findings. */
  readonly field: string;
  /**
   * Holds what follows from the models to what was declared of the whole, and answers what callers are held to.
   * @throws MillraceError where it does not fit.
   */
  readonly hold?: ((tensors: PipelineTensors) => PipelineTensors) | undefined;
}

/** What callers see of a pipeline. */
export interface PipelineTensors {
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
  /** Most rows of one request, where its models join them. */
  readonly maxBatchSize: number;
}

export interface StepPlan {
  readonly name: string;
  /** The models that may run: one, or those of the router. Each once. */
  readonly models: readonly string[];
  /** Empty for whichever version the model's own traffic rules choose. */
  readonly modelVersion: string;
  /** The model's input to the tensor that it reads. */
  readonly inputs: ReadonlyMap<string, string>;
  /** The model's output to the tensor's name. */
  readonly outputs: ReadonlyMap<string, string>;
  readonly router: RouterPlan | undefined;
  readonly field: string;
}

/**
 * Reads the declaration of a pipeline, and checks what can be checked without its models: names, routes, and cycles and
 * doubles among the tensors that the declaration names. `bindPipeline` checks the rest.
 *
 * @param name the name that callers use. @param field path of the pipeline in the declaration.
 * @param violations is added to, for every rule that is broken.
 */
export const planPipeline = (
  name: string,
  pipeline: Pipeline,
  field: string,
  violations: FieldViolation[],
): PipelinePlan => {
  const names = new Set<string>();
  for (const [index, step] of pipeline.steps.entries()) {
    if (names.has(step.name)) {
      violations.push({
        field: `${field}.steps[${index}].name`,
        expected: "a name that no other step has",
        got: step.name,
      });
    }
    names.add(step.name);
  }
  const steps = pipeline.steps.map((step, index) => stepPlan(name, step, `${field}.steps[${index}]`, violations));
  const plan: PipelinePlan = {
    name,
    version: String(pipeline.version || 1n),
    steps,
    outputs: new Map(Object.entries(pipeline.outputs)),
    field,
  };
  checkNamedTensors(plan, violations);
  return plan;
};

const stepPlan = (pipeline: string, step: PipelineStep, field: string, violations: FieldViolation[]): StepPlan => {
  const router = step.router === undefined ? undefined : routerPlan(step.router, `${field}.router`, violations);
  if ((step.model === "") === (router === undefined)) {
    violations.push({
      field: `${field}.model`,
      expected: "a model, or a router in its place",
      got: router === undefined ? "neither" : "both",
    });
  }
  const models = [...new Set(router === undefined ? [step.model] : router.models)].filter((model) => model !== "");
  if (models.includes(pipeline)) {
    violations.push({
      field: router === undefined ? `${field}.model` : `${field}.router`,
      expected: "a model that does not include this pipeline",
      got: pipeline,
    });
  }
  for (const [input, tensor] of Object.entries(step.inputs)) {
    if (tensor === "") {
      violations.push({ field: `${field}.inputs.${input}`, expected: "the name of a tensor", got: "nothing" });
    }
  }
  for (const [output, tensor] of Object.entries(step.outputs)) {
    if (tensor === "") {
      violations.push({ field: `${field}.outputs.${output}`, expected: "a name for the tensor", got: "nothing" });
    }
  }
  return {
    name: step.name,
    models,
    modelVersion: step.modelVersion === 0n ? "" : String(step.modelVersion),
    inputs: new Map(Object.entries(step.inputs)),
    outputs: new Map(Object.entries(step.outputs)),
    router,
    field,
  };
};

/** Doubles and cycles among the tensors that the declaration names; those by default names are known with the models. */
const checkNamedTensors = ({ steps }: PipelinePlan, violations: FieldViolation[]): void => {
  const producers = new Map<string, number>();
  for (const [index, step] of steps.entries()) {
    for (const [output, tensor] of step.outputs) {
      const other = producers.get(tensor);
      if (other !== undefined) violations.push(producedTwice(step, output, tensor, steps[other]?.name ?? ""));
      else producers.set(tensor, index);
    }
  }
  const producerOf = (tensor: string): number | undefined => {
    const named = producers.get(tensor);
    if (named !== undefined) return named;
    const candidates = steps.flatMap(({ name }, index) => (tensor.startsWith(`${name}.`) ? index : []));
    return candidates.length === 1 ? candidates[0] : undefined;
  };
  const reads = steps.map(({ inputs, router }) =>
    [...inputs.values(), ...(router === undefined ? [] : [router.tensor])].flatMap(
      (tensor) => producerOf(tensor) ?? [],
    ),
  );
  const cycle = findCycle(reads);
  if (cycle !== undefined) violations.push(cycleViolation(steps, cycle));
};

export const producedTwice = (step: StepPlan, output: string, tensor: string, other: string): FieldViolation => ({
  field: `${step.field}.outputs.${output}`,
  expected: "a name that no other tensor has",
  got: `${tensor}, which the step ${other} gives`,
});

export const cycleViolation = (steps: readonly StepPlan[], cycle: readonly number[]): FieldViolation => {
  const names = cycle.map((index) => steps[index]?.name ?? "");
  return {
    field: `${steps[cycle[0] ?? 0]?.field}.inputs`,
    expected: "tensors that do not follow from the step's own",
    got: `a cycle: ${[...names, names[0]].join(" reads from ")}`,
  };
};

/**
 * A cycle of steps, each of which reads from the next; undefined where there is none.
 * @param reads by step: the steps that it reads from.
 */
export const findCycle = (reads: readonly (readonly number[])[]): number[] | undefined => {
  const done = new Set<number>();
  const path: number[] = [];
  const visit = (step: number): number[] | undefined => {
    if (done.has(step)) return undefined;
    const at = path.indexOf(step);
    if (at >= 0) return path.slice(at);
    path.push(step);
    for (const other of reads[step] ?? []) {
      const cycle = visit(other);
      if (cycle !== undefined) return cycle;
    }
    path.pop();
    done.add(step);
    return undefined;
  };
  for (let step = 0; step < reads.length; step++) {
    const cycle = visit(step);
    if (cycle !== undefined) return cycle;
  }
  return undefined;
};
