import {
  BodyInvalidError,
  describe,
  isObject,
  type JsonObject,
  type JsonValue,
  parseObject,
  RawJson,
  type RestAnswer,
  type RestCall,
  type WritableJson,
  writeJson,
} from "@millrace/rest";
import { elementCount, type Tensor, type TensorSpec } from "@millrace/tensor";
import { isProtocolParameter } from "../protocol/infer-parameters.ts";
import type { TensorInference } from "../rpc/model-infer.ts";
import type { Servable } from "../serving/servable.ts";
import { closedShape, parametersOf } from "./infer-body.ts";
import { tensorFromJson, tensorToJson } from "./json-tensor.ts";
import { type NamedModel, runBody } from "./model-infer.ts";

/**
 * The generate extension: one JSON object whose keys are the model's inputs, each a value or an array of values; what is
 * no input is a parameter of the caller's own; those that the protocol knows stand in `parameters`. The answer has a key for each output: a value where it has one element, else an array.
 * @param streamed whether it is sent as a server-sent event. A model here answers once, so that it is one event.
 */
export const generate = (
  inference: TensorInference,
  named: NamedModel,
  body: Uint8Array,
  call: RestCall,
  streamed: boolean,
): Promise<RestAnswer> => {
  const json = parseObject(body);
  const { id = "", parameters, ...fields } = json;
  if (typeof id !== "string") throw new BodyInvalidError("id", "text", describe(id));
  const request = {
    id,
    parameters: parametersOf("parameters", parameters),
    outputs: [],
    regionBytes: 0,
    binary: () => false,
    tensors: (served: Servable) => tensorsOf(served, fields),
  };
  return runBody(inference, named, request, body, call, (head, outputs) => {
    const object: Record<string, WritableJson> = {
      id: head.id === "" ? undefined : head.id,
      model_name: head.modelName,
      model_version: head.modelVersion,
    };
    for (const output of outputs) object[output.name] = new RawJson(valueJson(output));
    const text = writeJson(object);
    return streamed
      ? { status: 200, type: "text/event-stream; charset=utf-8", body: `data: ${text}\n\n` }
      : { status: 200, type: "application/json", body: text };
  });
};

const tensorsOf = ({ inputs, batched }: Servable, fields: JsonObject): readonly Tensor[] => {
  for (const [name, value] of Object.entries(fields)) {
    if (inputs.some((input) => input.name === name)) continue;
    parametersOf("body", { [name]: value });
    // It was too late to follow: who answers, and what its inputs are called, was to be known first.
    if (isProtocolParameter(name)) {
      throw new BodyInvalidError(name, "one of the model's inputs, or a key of `parameters`", "a key beside them");
    }
  }
  return inputs.flatMap((spec) => {
    const value = Object.hasOwn(fields, spec.name) ? fields[spec.name] : undefined;
    return value === undefined ? [] : [tensorOf(spec, batched, value)];
  });
};

const tensorOf = (spec: TensorSpec, batched: boolean, value: JsonValue): Tensor => {
  const elements = Array.isArray(value) ? value : [value];
  if (elements.some((element) => Array.isArray(element) || isObject(element))) {
    // A NaN is read as an object too: whoever needs one has the infer call.
    throw new BodyInvalidError(spec.name, "a value, or an array of values", "what is neither");
  }
  const shape = spec.shape.map((dimension, axis) => (axis === 0 && batched ? 1 : dimension));
  const head = { name: spec.name, datatype: spec.datatype, shape: closedShape(spec.name, shape, elements.length) };
  return tensorFromJson(head, elements);
};

const valueJson = (output: Tensor): string => {
  const array = tensorToJson(output);
  return elementCount(output.shape) === 1 ? array.slice(1, -1) : array;
};
