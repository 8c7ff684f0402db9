import type { ModelConfig } from "@millrace/contracts/inference/model_config";
import type { FieldViolation } from "@millrace/errors";
import { shapeText, type TensorSpec } from "@millrace/tensor";
import { leavesBatchingOpen } from "./configured-options.ts";
import { configDatatype, configDatatypeWord } from "./datatype.ts";
import { ModelConfigInvalidError } from "./model-config-invalid-error.ts";

/** A tensor as callers see it, and as the graph has it: the same elements, in shapes that may differ. */
export interface FittedTensor {
  /** With the batch dimension where there is one. */
  readonly spec: TensorSpec;
  /** The graph's shape where the configuration reshapes; undefined where it is the callers'. */
  readonly graphShape: readonly number[] | undefined;
  /** Its place among the graph's. */
  readonly place: number;
}

export interface FittedTensors {
  /** In the graph's order. */
  readonly inputs: readonly FittedTensor[];
  /** In the configuration's order; the graph's where it names none. */
  readonly outputs: readonly FittedTensor[];
}

/**
 * Holds a configuration to its graph: names, datatypes and dimensions. Where the configuration narrows a dimension that
 * the graph leaves open, callers are held to the narrower one; outputs that it leaves out are not given.
 * @throws ModelConfigInvalidError naming each tensor that does not fit, with what the graph has.
 */
export const fitToGraph = (
  config: ModelConfig,
  name: string,
  graph: { readonly inputs: readonly TensorSpec[]; readonly outputs: readonly TensorSpec[] },
): FittedTensors => {
  const violations: FieldViolation[] = [];
  const batched = config.maxBatchSize > 0;
  if (batched) {
    for (const { name: tensor, shape } of [...graph.inputs, ...graph.outputs]) {
      if (shape[0] === -1) continue;
      violations.push({
        field: "max_batch_size",
        expected: `0: the first dimension of ${tensor} is not open in the graph, ${shapeText(shape)}`,
        got: String(config.maxBatchSize),
      });
    }
  }
  const fit = (side: "input" | "output", specs: readonly TensorSpec[]): FittedTensor[] =>
    config[side].flatMap((tensor, index) => {
      const place = specs.findIndex((spec) => spec.name === tensor.name);
      const spec = specs[place];
      const field = `${side}[${index}]`;
      if (spec === undefined) {
        const expected = `one of the graph's ${side}s: ${specs.map(({ name }) => name).join(", ")}`;
        violations.push({ field: `${field}.name`, expected, got: tensor.name });
        return [];
      }
      if (configDatatype[spec.datatype] !== tensor.dataType) {
        const expected = configDatatypeWord(configDatatype[spec.datatype]);
        violations.push({ field: `${field}.data_type`, expected, got: configDatatypeWord(tensor.dataType) });
      }
      const batch = batched ? [config.maxBatchSize === 1 ? 1 : -1] : [];
      const dims = [...batch, ...tensor.dims.map(Number)];
      const own = tensor.reshape === undefined ? dims : [...batch, ...tensor.reshape.shape.map(Number)];
      const shapes = { side, batched, graph: spec.shape };
      if (!fitsGraph(own, shapes)) {
        violations.push({
          field: tensor.reshape === undefined ? `${field}.dims` : `${field}.reshape.shape`,
          expected: `what fits the graph's ${shapeText(batched ? spec.shape.slice(1) : spec.shape)}`,
          got: shapeText(batched ? own.slice(1) : own),
        });
      }
      if (tensor.reshape !== undefined && !isReshape(dims, own)) {
        violations.push({
          field: `${field}.reshape.shape`,
          expected: `as many elements as dims has, ${shapeText(tensor.dims.map(Number))}`,
          got: shapeText(tensor.reshape.shape.map(Number)),
        });
      }
      const graphShape = shapeText(dims) === shapeText(own) ? undefined : own;
      return { spec: { name: spec.name, datatype: spec.datatype, shape: dims }, graphShape, place };
    });
  const inputs = fit("input", graph.inputs);
  const outputs = fit("output", graph.outputs);
  if (config.input.length > 0 && violations.length === 0 && inputs.length !== graph.inputs.length) {
    const missing = graph.inputs.filter(({ name }) => !inputs.some(({ spec }) => spec.name === name));
    violations.push({
      field: "input",
      expected: `each of the graph's inputs, ${missing.map(({ name }) => name).join(", ")} too`,
      got: `${inputs.length} of ${graph.inputs.length}`,
    });
  }
  if (violations.length > 0) throw new ModelConfigInvalidError(name, violations);
  const asTheyAre = (specs: readonly TensorSpec[]) =>
    specs.map((spec, place) => ({
      spec: { ...spec, shape: narrowed(spec.shape, config) },
      graphShape: undefined,
      place,
    }));
  return {
    inputs: inputs.length > 0 ? inputs.sort((a, b) => a.place - b.place) : asTheyAre(graph.inputs),
    outputs: outputs.length > 0 ? outputs : asTheyAre(graph.outputs),
  };
};

/** With a max_batch_size of 1 a request has one row: no rows are joined, and the first dimension is 1. */
const narrowed = (shape: readonly number[], config: ModelConfig): readonly number[] =>
  config.maxBatchSize === 1 && !leavesBatchingOpen(config) ? [1, ...shape.slice(1)] : shape;

const fitsGraph = (
  shape: readonly number[],
  {
    side,
    batched,
    graph,
  }: { readonly side: "input" | "output"; readonly batched: boolean; readonly graph: readonly number[] },
): boolean => {
  // A graph need not tell the rank of an output: then its shape is empty, as a scalar's is.
  if (side === "output" && graph.length === 0) return true;
  return (
    shape.length === graph.length &&
    shape.every((dimension, axis) => (axis === 0 && batched) || graph[axis] === -1 || graph[axis] === dimension)
  );
};

/** Whether both have the same elements: as many open dimensions, and equal sizes between them. */
const isReshape = (a: readonly number[], b: readonly number[]): boolean => {
  const parts = (shape: readonly number[]): string => {
    const products = [1];
    for (const dimension of shape) {
      if (dimension === -1) products.push(1);
      else products.push((products.pop() ?? 1) * dimension);
    }
    return products.join();
  };
  return parts(a) === parts(b);
};

/** A shape of the form `from`, in the form `to`: the open dimensions take their sizes in order. */
export const reshaped = (
  shape: readonly number[],
  from: readonly number[],
  to: readonly number[],
): readonly number[] => {
  const sizes = shape.filter((_, axis) => from[axis] === -1);
  let open = 0;
  return to.map((dimension) => (dimension === -1 ? (sizes[open++] ?? 1) : dimension));
};
