import type { ModelInferRequest } from "@millrace/contracts/inference/grpc_service";
import {
  byteCount,
  type Datatype,
  elementCount,
  fromTypedContents,
  isDatatype,
  shapeText,
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
  let carried = 0;
  const tensors = inputs.map((input): Tensor => {
    const { name, contents } = input;
    const place = regionPlace(input);
    if (contents !== undefined && (raw || place !== undefined)) {
      throw new TensorInvalidError({
        field: `${name}.contents`,
        expected: `no typed contents beside ${raw ? "raw_input_contents" : "shared memory"}`,
        got: "both",
      });
    }
    const datatype = knownDatatype(name, input.datatype);
    const shape = knownShape(name, input.shape);
    if (place !== undefined) return inRegion({ name, datatype, shape }, place, memory);
    const data = rawInputContents[carried++];
    if (!raw) return fromTypedContents(name, datatype, shape, contents ?? {});
    return { name, datatype, shape, data: data ?? new Uint8Array() };
  });
  if (raw && rawInputContents.length !== carried) {
    throw new TensorInvalidError({
      field: "raw_input_contents",
      expected: `one for each of the ${carried} inputs that are not in shared memory`,
      got: `${rawInputContents.length}`,
    });
  }
  return { tensors, typed: !raw && carried > 0 };
};

/**
 * A tensor whose bytes lie in shared memory. Nothing is read where they are not as many as its shape says.
 * @throws TensorInvalidError, SharedMemoryInvalidError, SharedMemoryOffError
 */
export const inRegion = (
  head: Omit<Tensor, "data">,
  place: RegionPlace,
  memory: SystemSharedMemory | undefined,
): Tensor => {
  const { name, datatype, shape } = head;
  const regions = needMemory(memory);
  const bytes = byteCount(datatype, shape);
  if (datatype !== "BYTES" && place.byteSize !== bytes) {
    throw new TensorInvalidError({
      field: `${name}.parameters.shared_memory_byte_size`,
      expected: `${bytes} bytes (${datatype} ${shapeText(shape)})`,
      got: `${place.byteSize}`,
    });
  }
  return { ...head, data: regions.read(name, place) };
};

/** Most dimensions of a tensor: more than any model has, and few enough to be walked one in the other. */
const maxRank = 256;

/** @throws TensorInvalidError naming the input. */
export const knownDatatype = (name: string, datatype: string): Datatype => {
  if (isDatatype(datatype)) return datatype;
  throw new TensorInvalidError({ field: `${name}.datatype`, expected: "a datatype of the protocol", got: datatype });
};

/** @throws TensorInvalidError naming the input, where a dimension is negative or all of them are absurdly large. */
export const knownShape = (name: string, dimensions: readonly (bigint | number)[]): number[] => {
  const field = `${name}.shape`;
  if (dimensions.length > maxRank) {
    throw new TensorInvalidError({ field, expected: `at most ${maxRank} dimensions`, got: `${dimensions.length}` });
  }
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
