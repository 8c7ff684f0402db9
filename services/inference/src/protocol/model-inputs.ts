import type { FieldViolation } from "@millrace/errors";
import { checkTensor, type Tensor, TensorInvalidError, type TensorSpec } from "@millrace/tensor";

/** A request's inputs as a lane takes them. */
export interface ModelInputs {
  /** In the model's order. */
  readonly inputs: readonly Tensor[];
  /** The first dimension of all of them; 1 for a model that is not batched. */
  readonly rows: number;
}

/**
 * Puts a request's tensors into the order of the model's inputs, and checks them.
 * @throws TensorInvalidError naming each input that is missing, unknown, given twice or does not fit; inputs whose first
 *   dimensions differ; and more rows than one run may have.
 */
export const inputsOf = (
  tensors: readonly Tensor[],
  specs: readonly TensorSpec[],
  batched: boolean,
  maxBatchSize: number,
): ModelInputs => {
  const inputs: Tensor[] = [];
  for (const spec of specs) {
    const tensor = tensors.find(({ name }) => name === spec.name);
    if (tensor === undefined) {
      throw new TensorInvalidError({ field: spec.name, expected: `an input of ${spec.datatype}`, got: "none" });
    }
    checkTensor(tensor, spec);
    inputs.push(tensor);
  }
  if (tensors.length !== specs.length) throw new TensorInvalidError(...surplus(tensors, specs));
  if (!batched) return { inputs, rows: 1 };
  const rows = inputs[0]?.shape[0] ?? 0;
  for (const { name, shape } of inputs) {
    if (shape[0] !== rows) {
      throw new TensorInvalidError({
        field: `${name}.shape`,
        expected: `a first dimension of ${rows}, as ${inputs[0]?.name} has`,
        got: `${shape[0]}`,
      });
    }
  }
  if (rows > maxBatchSize) {
    throw new TensorInvalidError({
      field: `${inputs[0]?.name}.shape`,
      expected: `a first dimension of at most ${maxBatchSize} (max_batch_size)`,
      got: `${rows}`,
    });
  }
  return { inputs, rows };
};

const surplus = (tensors: readonly Tensor[], specs: readonly TensorSpec[]): [FieldViolation, ...FieldViolation[]] => {
  const names = specs.map(({ name }) => name).join(", ");
  const seen = new Set<string>();
  const violations: FieldViolation[] = [];
  for (const { name } of tensors) {
    if (seen.has(name)) violations.push({ field: name, expected: "each input once", got: `${name} again` });
    else if (!specs.some((spec) => spec.name === name)) {
      violations.push({ field: name, expected: `one of the model's inputs: ${names}`, got: "an unknown input" });
    }
    seen.add(name);
  }
  const [first, ...more] = violations;
  return [first ?? { field: "inputs", expected: names, got: `${tensors.length} inputs` }, ...more];
};
