import type { ModelInferRequest } from "@millrace/contracts/inference/grpc_service";
import { elementCount, fromTypedContents, isDatatype, type Tensor, TensorInvalidError } from "@millrace/tensor";

/** A request's tensors in the request's order, and whether they came in typed contents. */
export interface RequestTensors {
  readonly tensors: readonly Tensor[];
  readonly typed: boolean;
}

/**
 * Reads the tensors of a request: all from `raw_input_contents` as views, in the order of the inputs, or all from typed
 * contents. Byte counts are checked later, against the model.
 * @throws TensorInvalidError naming the input.
 */
export const requestTensors = (request: ModelInferRequest): RequestTensors => {
  const { inputs, rawInputContents } = request;
  const raw = rawInputContents.length > 0;
  if (raw && rawInputContents.length !== inputs.length) {
    throw new TensorInvalidError({
      field: "raw_input_contents",
      expected: `one for each of the ${inputs.length} inputs`,
      got: `${rawInputContents.length}`,
    });
  }
  const tensors = inputs.map(({ name, datatype, shape, contents }, index): Tensor => {
    if (!isDatatype(datatype)) {
      throw new TensorInvalidError({
        field: `${name}.datatype`,
        expected: "a datatype of the protocol",
        got: datatype,
      });
    }
    const dimensions = shape.map((dimension) => {
      const number = Number(dimension);
      if (number < 0 || !Number.isSafeInteger(number)) {
        throw new TensorInvalidError({
          field: `${name}.shape`,
          expected: "dimensions of 0 or more",
          got: `${dimension}`,
        });
      }
      return number;
    });
    const count = elementCount(dimensions);
    if (!Number.isSafeInteger(count * 8)) {
      throw new TensorInvalidError({
        field: `${name}.shape`,
        expected: "a size that fits memory",
        got: `${count} elements`,
      });
    }
    if (!raw) return fromTypedContents(name, datatype, dimensions, contents ?? {});
    if (contents !== undefined) {
      throw new TensorInvalidError({
        field: `${name}.contents`,
        expected: "no typed contents beside raw_input_contents",
        got: "both",
      });
    }
    return { name, datatype, shape: dimensions, data: rawInputContents[index] ?? new Uint8Array() };
  });
  return { tensors, typed: !raw && inputs.length > 0 };
};
