import { type FieldViolation, MillraceError } from "@millrace/errors";
import type { TensorSpec } from "@millrace/tensor";
import type { Servable } from "../serving/servable.ts";
import { type BoundPipeline, type BoundStep, isChain, specText, whatDiffers } from "./bound-pipeline.ts";
import { PipelineUnfitError, StepNotReadyError } from "./pipeline-errors.ts";
import {
  cycleViolation,
  findCycle,
  type PipelinePlan,
  type PipelineTensors,
  producedTwice,
  type StepPlan,
} from "./pipeline-plan.ts";
import { kindOf, type RouterPlan, routedDatatype, routedKind } from "./router-plan.ts";

/** A step and the model whose tensors it is bound to. */
interface StepModel {
  readonly plan: StepPlan;
  readonly model: Servable;
}

/** Who gives a tensor. */
interface Producer {
  readonly step: number;
  readonly spec: TensorSpec;
  readonly labels: readonly string[] | undefined;
}

/**
 * Binds a pipeline to its models: finds them, and checks that they fit together.
 *
 *     steps' models ──▶ who gives each tensor ──▶ what callers must give ──▶ the order: what waits for what
 *
 * The pipeline's inputs are the tensors that no step gives, as the models ask for them.
 *
 * @param find the model of a step.
 * @throws StepNotReadyError where `find` throws; PipelineUnfitError with every violation.
 */
export const bindPipeline = (plan: PipelinePlan, find: (model: string, version: string) => Servable): BoundPipeline => {
  const violations: FieldViolation[] = [];
  const steps = plan.steps.map((step) => stepModel(step, find, violations));
  const producers = producersOf(steps, violations);
  const inputs = pipelineInputs(steps, producers, violations);
  const outputs = pipelineOutputs(plan, producers, violations);
  if (violations.length > 0) throw new PipelineUnfitError(violations);

  const tensors = [...inputs.map(({ name }) => name), ...producers.keys()];
  const numberOf = new Map(tensors.map((name, number) => [name, number]));
  const reads = steps.map(({ plan, model }) => readsOf(plan, model));
  const needed = new Set(plan.outputs.values());
  for (const step of reads) for (const tensor of step.all) needed.add(tensor);
  const cycle = findCycle(reads.map(({ all }) => all.flatMap((tensor) => producers.get(tensor)?.step ?? [])));
  if (cycle !== undefined) throw new PipelineUnfitError([cycleViolation(plan.steps, cycle)]);
  checkUse(
    steps,
    reads.map(({ all }) => all),
    plan,
    violations,
  );
  if (violations.length > 0) throw new PipelineUnfitError(violations);

  const batched = steps.every(({ model }) => model.batched);
  const bound = steps.map(({ plan, model }, index): BoundStep => {
    const { inputs: byInput = new Map<string, string>(), all = [] } = reads[index] ?? {};
    const numbers = (names: ReadonlyMap<string, string>) =>
      new Map([...names].map(([own, tensor]) => [own, numberOf.get(tensor) ?? -1]));
    const writes = [...writesOf(plan, model)].filter(([, tensor]) => needed.has(tensor));
    return {
      name: plan.name,
      models: plan.models,
      modelVersion: plan.modelVersion,
      router:
        plan.router === undefined
          ? undefined
          : { ...plan.router, tensorNumber: numberOf.get(plan.router.tensor) ?? -1 },
      inputs: model.inputs,
      outputs: model.outputs,
      reads: numbers(byInput),
      writes: numbers(new Map(writes)),
      waitsFor: all.map((tensor) => numberOf.get(tensor) ?? -1),
      fitting: new WeakMap(),
    };
  });
  const followed: PipelineTensors = {
    inputs,
    outputs: outputs.map(({ spec }) => spec),
    maxBatchSize: Math.min(...steps.map(({ model }) => model.maxBatchSize)),
  };
  return {
    ...(plan.hold === undefined ? followed : plan.hold(followed)),
    labels: new Map(
      outputs.flatMap(({ spec, labels }) => (labels === undefined ? [] : [[spec.name, labels] as const])),
    ),
    batched,
    tensors,
    outputTensors: [...plan.outputs.values()].map((tensor) => numberOf.get(tensor) ?? -1),
    steps: bound,
    readers: tensors.map((_, number) => bound.flatMap(({ waitsFor }, step) => (waitsFor.includes(number) ? step : []))),
    parallel: bound.some(({ router }) => router !== undefined) || !isChain(bound),
  };
};

const stepModel = (
  plan: StepPlan,
  find: (model: string, version: string) => Servable,
  violations: FieldViolation[],
): StepModel => {
  const [first = "", ...others] = plan.models;
  const model = foundModel(plan, first, find);
  const { router } = plan;
  for (const name of others) {
    const differs = whatDiffers(model, foundModel(plan, name, find));
    if (differs === undefined) continue;
    const route = router?.routes.find((route) => route.model === name);
    violations.push({
      field: route === undefined ? `${router?.field}.otherwise` : `${route.field}.model`,
      expected: `a model that takes and gives what ${first} does`,
      got: `${name}, with ${differs}`,
    });
  }
  if (router !== undefined) {
    const told = model.outputs.filter(({ shape }) => shape.length > 0);
    const fixed = [...model.inputs, ...told].find(({ shape }) => shape[0] !== -1);
    if (fixed !== undefined) {
      violations.push({
        field: router.field,
        expected: "models whose tensors have any number of rows",
        got: `${fixed.name} of ${first} as ${specText(fixed)}`,
      });
    }
  }
  unknownNames(plan, "inputs", model.inputs, first, violations);
  unknownNames(plan, "outputs", model.outputs, first, violations);
  return { plan, model };
};

const foundModel = (plan: StepPlan, model: string, find: (model: string, version: string) => Servable): Servable => {
  try {
    return find(model, plan.modelVersion);
  } catch (error) {
    if (error instanceof MillraceError) throw new StepNotReadyError(plan.name, model, error);
    throw error;
  }
};

const unknownNames = (
  plan: StepPlan,
  side: "inputs" | "outputs",
  specs: readonly TensorSpec[],
  model: string,
  violations: FieldViolation[],
): void => {
  for (const name of plan[side].keys()) {
    if (specs.some((spec) => spec.name === name)) continue;
    violations.push({
      field: `${plan.field}.${side}.${name}`,
      expected: `one of the ${side} of ${model}: ${specs.map((spec) => spec.name).join(", ")}`,
      got: name,
    });
  }
};

/** By input of the model, the tensor that it reads; and all tensors that the step reads, each once. */
const readsOf = ({ inputs, router }: StepPlan, model: Servable) => {
  const byInput = new Map(model.inputs.map(({ name }) => [name, inputs.get(name) ?? name]));
  return {
    inputs: byInput,
    all: [...new Set([...byInput.values(), ...(router === undefined ? [] : [router.tensor])])],
  };
};

/** By output of the model, the tensor's name. */
const writesOf = ({ name, outputs }: StepPlan, model: Servable): ReadonlyMap<string, string> =>
  new Map(model.outputs.map((output) => [output.name, outputs.get(output.name) ?? `${name}.${output.name}`]));

const producersOf = (steps: readonly StepModel[], violations: FieldViolation[]): Map<string, Producer> => {
  const producers = new Map<string, Producer>();
  for (const [index, { plan, model }] of steps.entries()) {
    for (const [output, tensor] of writesOf(plan, model)) {
      const spec = model.outputs.find(({ name }) => name === output);
      if (spec === undefined) continue;
      const other = producers.get(tensor);
      if (other !== undefined) {
        violations.push(producedTwice(plan, output, tensor, steps[other.step]?.plan.name ?? ""));
      } else {
        const labels = model.labels.get(output);
        producers.set(tensor, { step: index, labels, spec: { ...spec, name: tensor } });
      }
    }
  }
  return producers;
};

/** What callers must give: checks each reader against whoever gives the tensor, and the readers of an input together. */
const pipelineInputs = (
  steps: readonly StepModel[],
  producers: ReadonlyMap<string, Producer>,
  violations: FieldViolation[],
): TensorSpec[] => {
  const inputs = new Map<string, TensorSpec>();
  const routed: { readonly router: RouterPlan; readonly field: string }[] = [];
  for (const { plan, model } of steps) {
    for (const [input, tensor] of readsOf(plan, model).inputs) {
      const spec = model.inputs.find(({ name }) => name === input);
      if (spec === undefined) continue;
      const field = `${plan.field}.inputs.${input}`;
      const producer = producers.get(tensor);
      if (producer !== undefined) {
        if (tellsNoRank(producer.spec, spec) || fits(producer.spec, spec)) continue;
        const from = `${specText(producer.spec)} (${tensor} of the step ${steps[producer.step]?.plan.name})`;
        violations.push({ field, expected: specText(spec), got: from });
        continue;
      }
      if (isOfStep(steps, tensor, field, violations)) continue;
      const present = inputs.get(tensor);
      if (present === undefined) inputs.set(tensor, { ...spec, name: tensor });
      else if (fits(present, spec)) inputs.set(tensor, narrowed(present, spec));
      else {
        violations.push({
          field,
          expected: `${specText(present)}, as another step reads ${tensor}`,
          got: specText(spec),
        });
      }
    }
    if (plan.router !== undefined) routed.push({ router: plan.router, field: `${plan.field}.router.tensor` });
  }
  for (const { router, field } of routed) {
    const { tensor } = router;
    const produced = producers.get(tensor)?.spec;
    let spec = produced ?? inputs.get(tensor);
    if (spec === undefined) {
      if (isOfStep(steps, tensor, field, violations)) continue;
      spec = { name: tensor, datatype: routedDatatype(router), shape: [-1, 1] };
      inputs.set(tensor, spec);
    }
    if (kindOf(spec.datatype) !== routedKind(router)) {
      violations.push({ field, expected: `a tensor of ${kindWords[routedKind(router)]}`, got: specText(spec) });
    }
    const isScalar = spec.shape.length === 0 && produced === undefined;
    if (isScalar || spec.shape.slice(1).some((dimension) => dimension !== 1 && dimension !== -1)) {
      violations.push({ field, expected: "a tensor with one element a row", got: specText(spec) });
    }
  }
  return [...inputs.values()];
};

const kindWords = { number: "numbers", string: "texts", boolean: "bools" } as const;

/** Whether a name means the output of a step, which does not have it: no input of the pipeline is meant then. */
const isOfStep = (
  steps: readonly StepModel[],
  tensor: string,
  field: string,
  violations: FieldViolation[],
): boolean => {
  const owner = steps.find(({ plan }) => tensor.startsWith(`${plan.name}.`));
  if (owner === undefined) return false;
  const names = [...writesOf(owner.plan, owner.model).values()].join(", ");
  violations.push({ field, expected: `a tensor of the step ${owner.plan.name}: ${names}`, got: tensor });
  return true;
};

const pipelineOutputs = (
  { outputs, field }: PipelinePlan,
  producers: ReadonlyMap<string, Producer>,
  violations: FieldViolation[],
) =>
  [...outputs].flatMap(([name, tensor]) => {
    const producer = producers.get(tensor);
    if (producer !== undefined) return { spec: { ...producer.spec, name }, labels: producer.labels };
    const names = [...producers.keys()].join(", ");
    violations.push({ field: `${field}.outputs.${name}`, expected: `a tensor of a step: ${names}`, got: tensor });
    return [];
  });

/** A step that no output follows from would run for nothing. */
const checkUse = (
  steps: readonly StepModel[],
  reads: readonly (readonly string[])[],
  plan: PipelinePlan,
  violations: FieldViolation[],
): void => {
  const needed = new Set(plan.outputs.values());
  const used = new Set<number>();
  for (let found = true; found; ) {
    found = false;
    for (const [index, { plan: step, model }] of steps.entries()) {
      if (used.has(index) || ![...writesOf(step, model).values()].some((tensor) => needed.has(tensor))) continue;
      used.add(index);
      found = true;
      for (const tensor of reads[index] ?? []) needed.add(tensor);
    }
  }
  for (const [index, { plan: step }] of steps.entries()) {
    if (used.has(index)) continue;
    violations.push({ field: step.field, expected: "a step that an output follows from", got: step.name });
  }
};

/** A graph need not tell the rank of an output: its shape is empty then, and what comes is checked with each call. */
const tellsNoRank = (output: TensorSpec, input: TensorSpec): boolean =>
  output.shape.length === 0 && output.datatype === input.datatype;

const fits = (a: TensorSpec, b: TensorSpec): boolean =>
  a.datatype === b.datatype &&
  a.shape.length === b.shape.length &&
  a.shape.every((dimension, axis) => dimension === -1 || b.shape[axis] === -1 || dimension === b.shape[axis]);

const narrowed = (a: TensorSpec, b: TensorSpec): TensorSpec => ({
  ...a,
  shape: a.shape.map((dimension, axis) => (dimension === -1 ? (b.shape[axis] ?? -1) : dimension)),
});
