import { BodyInvalidError, describe, isObject, type JsonObject, type JsonValue, parseObject } from "@millrace/rest";
import { elementBytes, type Tensor, TensorInvalidError, type TensorSpec } from "@millrace/tensor";
import {
  ParameterInvalidError,
  type Parameters,
  type ParameterValue,
  type Parametrized,
  type ParametrizedRequest,
  type RegionPlace,
  regionPlace,
} from "../protocol/infer-parameters.ts";
import { inRegion, knownDatatype, knownShape } from "../protocol/request-tensors.ts";
import type { Servable } from "../serving/servable.ts";
import type { SystemSharedMemory } from "../shared-memory/system-shared-memory.ts";
import { tensorFromJson } from "./json-tensor.ts";

/** A request for inference as its body has it. */
export interface InferBody extends ParametrizedRequest {
  readonly id: string;
  /** What its tensors in shared memory add to the body, in bytes. */
  readonly regionBytes: number;
  /** Whether an output is answered as bytes, by its place among those requested. */
  readonly binary: (output: number) => boolean;
  /** The inputs, in their order. @throws TensorInvalidError, SharedMemoryInvalidError, SharedMemoryOffError */
  readonly tensors: (served: Servable, memory: SystemSharedMemory | undefined) => readonly Tensor[];
}

/**
 * Reads the body of a request: JSON, and behind it the bytes of those inputs that have `binary_data_size`, in their order.
 * @param jsonBytes where the JSON ends, from `Inference-Header-Content-Length`; undefined where it is all of the body,
 *   0 where there is none and the body is the one input of the model.
 * @throws BodyInvalidError, ParameterInvalidError
 */
export const readInferBody = (body: Uint8Array, jsonBytes: number | undefined): InferBody => {
  if (jsonBytes === 0) return rawBody(body);
  if (jsonBytes !== undefined && jsonBytes > body.byteLength) {
    throw new BodyInvalidError("Inference-Header-Content-Length", `at most ${body.byteLength}`, `${jsonBytes}`);
  }
  const json = parseObject(jsonBytes === undefined ? body : body.subarray(0, jsonBytes));
  const binary = jsonBytes === undefined ? undefined : body.subarray(jsonBytes);
  const { id = "" } = json;
  if (typeof id !== "string") throw new BodyInvalidError("id", "text", describe(id));
  const parameters = parametersOf("parameters", json.parameters);
  const inputs = layInputs(objects("inputs", json.inputs), binary);
  const outputs = objects("outputs", json.outputs ?? []).map((output, index): Parametrized => {
    const at = `outputs[${index}]`;
    return { name: text(`${at}.name`, output.name), parameters: parametersOf(`${at}.parameters`, output.parameters) };
  });
  const allBinary = flag(parameters, "parameters.binary_data_output", "binary_data_output") ?? false;
  const eachBinary = outputs.map(
    ({ name, parameters }) => flag(parameters, `${name}.parameters.binary_data`, "binary_data") ?? allBinary,
  );
  return {
    id,
    parameters,
    outputs,
    regionBytes: inputs.reduce((bytes, { place }) => bytes + (place?.byteSize ?? 0), 0),
    binary: (output) => eachBinary[output] ?? allBinary,
    tensors: (_served, memory) => inputs.map((input) => tensorOf(input, memory)),
  };
};

/** One input of a request, as it came. */
interface Input {
  readonly head: Omit<Tensor, "data">;
  readonly place: RegionPlace | undefined;
  readonly binary: Uint8Array | undefined;
  readonly data: JsonValue | undefined;
}

/** Gives each input that has `binary_data_size` its part of the bytes behind the JSON. */
const layInputs = (inputs: readonly JsonObject[], binary: Uint8Array | undefined): readonly Input[] => {
  let used = 0;
  const laid = inputs.map((input, index): Input => {
    const at = `inputs[${index}]`;
    const name = text(`${at}.name`, input.name);
    const parameters = parametersOf(`${at}.parameters`, input.parameters);
    const place = regionPlace({ name, parameters });
    const size = binarySize(name, parameters);
    const { data } = input;
    if (Number(place !== undefined) + Number(size !== undefined) + Number(data !== undefined) !== 1) {
      throw new TensorInvalidError({
        field: name,
        expected: "exactly one of data, parameters.binary_data_size and parameters.shared_memory_region",
        got: place === undefined && size === undefined && data === undefined ? "none" : "more than one",
      });
    }
    const head = {
      name,
      datatype: knownDatatype(name, text(`${name}.datatype`, input.datatype)),
      shape: knownShape(name, dimensions(name, input.shape)),
    };
    if (size === undefined) return { head, place, binary: undefined, data };
    const rest = (binary?.byteLength ?? 0) - used;
    if (size > rest) {
      const expected =
        binary === undefined
          ? "the header Inference-Header-Content-Length, which says where the JSON ends"
          : `at most the ${rest} bytes that are left behind the JSON`;
      throw new TensorInvalidError({
        field: `${name}.parameters.binary_data_size`,
        expected,
        got: binary === undefined ? "none" : `${size}`,
      });
    }
    const own = (binary ?? new Uint8Array()).subarray(used, used + size);
    used += size;
    return { head, place, binary: own, data };
  });
  if (binary !== undefined && used !== binary.byteLength) {
    throw new BodyInvalidError(
      "body",
      `${used} bytes behind the JSON, as the inputs' binary_data_size add up to`,
      `${binary.byteLength}`,
    );
  }
  return laid;
};

const tensorOf = ({ head, place, binary, data = null }: Input, memory: SystemSharedMemory | undefined): Tensor => {
  if (place !== undefined) return inRegion(head, place, memory);
  return binary === undefined ? tensorFromJson(head, data) : { ...head, data: binary };
};

/** A body without JSON: the bytes of the one input of a model, of whose dimensions one may be open beside the batch. */
const rawBody = (body: Uint8Array): InferBody => ({
  id: "",
  parameters: {},
  outputs: [],
  regionBytes: 0,
  binary: () => true,
  tensors: ({ inputs, batched }) => {
    const [spec] = inputs;
    if (spec === undefined || inputs.length !== 1) {
      throw new BodyInvalidError("body", "JSON with the inputs, as the model has several", "one raw input");
    }
    const shape = spec.shape.map((dimension, axis) => (axis === 0 && batched ? 1 : dimension));
    return [{ ...spec, shape: closedShape(spec.name, shape, rawElements(spec, body)), data: body }];
  },
});

const rawElements = ({ name, datatype }: TensorSpec, body: Uint8Array): number => {
  if (datatype === "BYTES") {
    let elements = 0;
    const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
    for (let at = 0; at + 4 <= body.byteLength; elements++) at += 4 + view.getUint32(at, true);
    return elements;
  }
  const bytes = elementBytes[datatype];
  if (body.byteLength % bytes !== 0) {
    throw new TensorInvalidError({
      field: name,
      expected: `a multiple of ${bytes} bytes (${datatype})`,
      got: `${body.byteLength}`,
    });
  }
  return body.byteLength / bytes;
};

/**
 * A shape whose one open dimension is what so many elements leave for it.
 * @throws TensorInvalidError where more than one is open, or the elements do not fit.
 */
export const closedShape = (name: string, shape: readonly number[], elements: number): number[] => {
  const open = shape.filter((dimension) => dimension < 0).length;
  const known = shape.reduce((product, dimension) => (dimension < 0 ? product : product * dimension), 1);
  const left = known === 0 ? 0 : elements / known;
  if (open > 1 || !Number.isInteger(left) || (open === 0 && elements !== known)) {
    throw new TensorInvalidError({
      field: name,
      expected: open > 1 ? "a shape, as the model leaves several dimensions open" : `elements that fill [${shape}]`,
      got: `${elements} elements`,
    });
  }
  return shape.map((dimension) => (dimension < 0 ? left : dimension));
};

/** @throws ParameterInvalidError where a parameter is neither text, a number nor a boolean. */
export const parametersOf = (field: string, value: JsonValue | undefined): Parameters => {
  if (value === undefined) return {};
  if (!isObject(value)) throw new BodyInvalidError(field, "an object", describe(value));
  return Object.fromEntries(
    Object.entries(value).map(([name, each]) => [name, { parameterChoice: parameterValue(`${field}.${name}`, each) }]),
  );
};

const parameterValue = (field: string, value: JsonValue): ParameterValue => {
  switch (typeof value) {
    case "boolean":
      return { case: "boolParam", value };
    case "string":
      return { case: "stringParam", value };
    case "bigint":
      if (BigInt.asIntN(64, value) === value) return { case: "int64Param", value };
      if (BigInt.asUintN(64, value) === value) return { case: "uint64Param", value };
      break;
    case "number":
      return Number.isSafeInteger(value)
        ? { case: "int64Param", value: BigInt(value) }
        : { case: "doubleParam", value };
  }
  throw new ParameterInvalidError(field, "text, a number or a boolean", describe(value));
};

const binarySize = (name: string, { binary_data_size: size }: Parameters): number | undefined => {
  if (size === undefined) return undefined;
  const { parameterChoice: choice } = size;
  if (choice.case === "int64Param" && choice.value >= 0n) return Number(choice.value);
  throw new ParameterInvalidError(`${name}.parameters.binary_data_size`, "bytes, 0 or more", String(choice.value));
};

const flag = (parameters: Parameters, field: string, name: string): boolean | undefined => {
  const choice = parameters[name]?.parameterChoice;
  if (choice === undefined) return undefined;
  if (choice.case === "boolParam") return choice.value;
  throw new ParameterInvalidError(field, "true or false", String(choice.value));
};

const objects = (field: string, value: JsonValue | undefined): readonly JsonObject[] => {
  if (!Array.isArray(value)) throw new BodyInvalidError(field, "an array of objects", describe(value));
  return value.map((each: JsonValue, index) => {
    if (!isObject(each)) throw new BodyInvalidError(`${field}[${index}]`, "an object", describe(each));
    return each;
  });
};

const text = (field: string, value: JsonValue | undefined): string => {
  if (typeof value !== "string") throw new BodyInvalidError(field, "text", describe(value));
  return value;
};

const dimensions = (name: string, value: JsonValue | undefined): readonly (number | bigint)[] => {
  const field = `${name}.shape`;
  if (!Array.isArray(value)) throw new BodyInvalidError(field, "an array of whole numbers", describe(value));
  return value.map((each: JsonValue) => {
    if (typeof each === "bigint" || (typeof each === "number" && Number.isInteger(each))) return each;
    throw new BodyInvalidError(field, "an array of whole numbers", `an array with ${describe(each)}`);
  });
};
