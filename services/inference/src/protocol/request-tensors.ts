import type { ModelInferRequest } from "@millrace/contracts/inference/grpc_service";
import {
  type Datatype,
  elementCount,
  fromTypedContents,
  isDatatype,
  type Tensor,
  TensorInvalidError,
} from "@millrace/tensor";
import { needMemory, type SystemSharedMemory } from "../shared-memory/system-shared-memory.ts";
import { type RegionPlace, regionPlace } from "./infer-parameters.ts";

/** A request's tensors in the request's order, and whether they came in typed contents. */
export interface RequestTensors {
  readonly tensors: readonly Tensor[];
  readonly typed: boolean;
}

/**
 * Reads the tensors of a request: all from `raw_input_contents` as views, in the order of the inputs, or all from typed
 * contents; those that lie in shared memory are in neither. Byte counts are checked later, against the model.
 * @throws TensorInvalidError naming the input, ParameterInvalidError, SharedMemoryInvalidError, SharedMemoryOffError
 */
export const requestTensors = (
  { inputs, rawInputContents }: ModelInferRequest,
  memory: SystemSharedMemory | undefined,
): RequestTensors => {
  const raw = rawInputContents.length > 0;
  const places = inputs.map(regionPlace);
  let carried = 0;
  for (const place of places) if (place === undefined) carried++;
  if (raw && rawInputContents.length !== carried) {
    throw new TensorInvalidError({
      field: "raw_input_contents",
      expected: `one for each of the ${carried} inputs that are not in shared memory`,
      got: `${rawInputContents.length}`,
    });
  }
  let next = 0;
  const tensors = inputs.map(({ name, datatype, shape: dimensions, contents }, index): Tensor => {
    const place = places[index];
    if (contents !== undefined && (raw || place !== undefined)) {
      throw new TensorInvalidError({
        field: `${name}.contents`,
        expected: `no typed contents beside ${raw ? "raw_input_contents" : "shared memory"}`,
        got: "both",
      });
    }
    const head = { name, datatype: knownDatatype(name, datatype), shape: knownShape(name, dimensions) };
    if (place !== undefined) return inRegion(head, place, memory);
    return raw
      ? { ...head, data: rawInputContents[next++] ?? new Uint8Array() }
      : fromTypedContents(name, head.datatype, head.shape, contents ?? {});
  });
  return { tensors, typed: !raw && carried > 0 };
};

/** A tensor whose bytes lie in shared memory. @throws SharedMemoryInvalidError, SharedMemoryOffError */
export const inRegion = (
  head: Omit<Tensor, "data">,
  place: RegionPlace,
  memory: SystemSharedMemory | undefined,
): Tensor => ({ ...head, data: needMemory(memory).read(head.name, place) });

/** @throws TensorInvalidError naming the input. */
export const knownDatatype = (name: string, datatype: string): Datatype => {
  if (isDatatype(datatype)) return datatype;
  throw new TensorInvalidError({ field: `${name}.datatype`, expected: "a datatype of the protocol", got: datatype });
};

/** @throws TensorInvalidError naming the input, where a dimension is negative or all of them are absurdly large. */
export const knownShape = (name: string, dimensions: readonly (bigint | number)[]): number[] => {
  const field = `${name}.shape`;
  const shape = dimensions.map((dimension) => {
    const number = Number(dimension);
    if (number < 0 || !Number.isSafeInteger(number)) {
      throw new TensorInvalidError({ field, expected: "dimensions of 0 or more", got: `${dimension}` });
    }
    return number;
  });
  const count = elementCount(shape);
  if (!Number.isSafeInteger(count * 8)) {
    throw new TensorInvalidError({ field, expected: "a size that fits memory", got: `${count} elements` });
  }
  return shape;
};
