import type { FieldViolation } from "@millrace/errors";
import { checkText } from "./bytes-elements.ts";
import { byteCount, elementCount, type Tensor, type TensorSpec } from "./tensor.ts";
import { TensorInvalidError } from "./tensor-invalid-error.ts";

/**
 * Checks that a tensor fits what a model says of its input: datatype, rank, dimensions, byte count, and for BYTES that
 * every element is text (`checkText`).
 * @throws TensorInvalidError with every violation, each with the input's name, what was expected and what came.
 */
export const checkTensor = (tensor: Tensor, spec: TensorSpec): void => {
  const violations: FieldViolation[] = [];
  const violate = (field: string, expected: string, got: string) => violations.push({ field, expected, got });
  if (tensor.datatype !== spec.datatype) violate(`${spec.name}.datatype`, spec.datatype, tensor.datatype);
  if (!shapeFits(tensor.shape, spec.shape))
    violate(`${spec.name}.shape`, shapeText(spec.shape), shapeText(tensor.shape));
  const [first, ...rest] = violations;
  if (first !== undefined) throw new TensorInvalidError(first, ...rest);
  checkByteCount(tensor);
  if (tensor.datatype === "BYTES") checkText(tensor.name, tensor.data, elementCount(tensor.shape));
};

/** Checks that the data has as many bytes as datatype and shape ask for. BYTES is checked where it is read. */
export const checkByteCount = (tensor: Tensor): void => {
  if (tensor.datatype === "BYTES") return;
  const expected = byteCount(tensor.datatype, tensor.shape);
  if (tensor.data.byteLength !== expected) {
    throw new TensorInvalidError({
      field: tensor.name,
      expected: `${expected} bytes (${tensor.datatype} ${shapeText(tensor.shape)})`,
      got: `${tensor.data.byteLength} bytes`,
    });
  }
};

/** Whether a shape fits a specification in which -1 is any size. */
export const shapeFits = (shape: readonly number[], spec: readonly number[]): boolean =>
  shape.length === spec.length && shape.every((dimension, axis) => spec[axis] === -1 || spec[axis] === dimension);

/** A shape for people: `[-1, 28]`. */
export const shapeText = (shape: readonly number[]): string => `[${shape.join(", ")}]`;
