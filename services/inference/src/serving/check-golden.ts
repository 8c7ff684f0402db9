import type { Golden } from "@millrace/contracts/millrace/model/v1/model_package";
import type { Tensor as TensorMessage } from "@millrace/contracts/millrace/tensor/v1/tensor";
import {
  decodeStrings,
  elementCount,
  isDatatype,
  shapeText,
  type Tensor,
  TensorInvalidError,
  toNumbers,
} from "@millrace/tensor";
import type { ModelLane } from "../execution/model-lane.ts";
import { inputsOf } from "../protocol/model-inputs.ts";
import { GoldenMismatchError } from "./serving-errors.ts";

/**
 * Runs the golden examples of a package through the very lane that will serve, and compares.
 * @returns the number of examples.
 * @throws GoldenMismatchError, or TensorInvalidError where an example does not fit the model.
 */
export const checkGolden = async (golden: Golden, lane: ModelLane): Promise<number> => {
  const [instance] = lane.instances;
  if (instance === undefined) throw new RangeError("A lane needs an instance to be checked.");
  for (const [index, example] of golden.examples.entries()) {
    const { inputs, rows } = inputsOf(
      example.inputs.map(tensorOf),
      instance.inputs,
      lane.batched,
      lane.options.maxBatchSize,
    );
    const outputs = await lane.infer(inputs, rows, { bypassCache: true }, (views) =>
      views.map((view) => ({ ...view, data: view.data.slice() })),
    );
    for (const message of example.outputs) {
      const expected = tensorOf(message);
      const got = outputs.find(({ name }) => name === expected.name);
      if (got === undefined) throw new GoldenMismatchError(index, expected.name, "an output of this name", "none");
      compare(index, expected, got, golden.absoluteTolerance, golden.relativeTolerance);
    }
  }
  return golden.examples.length;
};

const tensorOf = ({ name, datatype, shape, data }: TensorMessage): Tensor => {
  if (!isDatatype(datatype)) {
    throw new TensorInvalidError({ field: name, expected: "a datatype that can be carried", got: datatype });
  }
  return { name, datatype, shape: shape.map(Number), data };
};

const compare = (example: number, expected: Tensor, got: Tensor, absolute: number, relative: number): void => {
  const { name } = expected;
  if (expected.datatype !== got.datatype || shapeText(expected.shape) !== shapeText(got.shape)) {
    throw new GoldenMismatchError(
      example,
      name,
      `${expected.datatype} ${shapeText(expected.shape)}`,
      `${got.datatype} ${shapeText(got.shape)}`,
    );
  }
  if (expected.datatype === "BYTES" || got.datatype === "BYTES") {
    const count = elementCount(expected.shape);
    const right = decodeStrings(name, got.data, count);
    for (const [index, text] of decodeStrings(name, expected.data, count).entries()) {
      if (text !== right[index])
        throw new GoldenMismatchError(example, `${name}[${index}]`, text, right[index] ?? "none");
    }
    return;
  }
  const right = toNumbers(got.datatype, got.data);
  for (const [index, number] of toNumbers(expected.datatype, expected.data).entries()) {
    const other = right[index] ?? Number.NaN;
    if (Object.is(number, other) || Math.abs(number - other) <= absolute + relative * Math.abs(number)) continue;
    throw new GoldenMismatchError(
      example,
      `${name}[${index}]`,
      `${number} within ${absolute} + ${relative} of it`,
      `${other}`,
    );
  }
};
