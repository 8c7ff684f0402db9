import { create, toBinary } from "@bufbuild/protobuf";
import {
  type ModelInferResponse,
  ModelInferResponseSchema,
  ModelStreamInferResponseSchema,
} from "@millrace/contracts/inference/grpc_service";
import { hasTypedForm, toTypedContents } from "@millrace/tensor";
import type { Parameters, RegionPlace } from "./infer-parameters.ts";
import type { PresentedOutput } from "./present-outputs.ts";

/** What a response says beside its tensors. */
export interface ResponseHead {
  readonly modelName: string;
  readonly modelVersion: string;
  readonly id: string;
  /** Whether the request's tensors came in typed contents. */
  readonly typed: boolean;
  /** Whether this is a response on a stream, which says that it is the last of its request. */
  readonly streamed?: boolean;
}

/**
 * A response on the wire: a ModelInferResponse, or a ModelStreamInferResponse where it is streamed. Its tensors are typed
 * only for a request that was typed, and where each has a typed form; else raw, as the protocol's clients read them. The
 * outputs' data is copied once, into the message.
 */
export const encodeInferResponse = (head: ResponseHead, outputs: readonly PresentedOutput[]): Uint8Array => {
  const typed = head.typed && outputs.every(({ datatype }) => hasTypedForm(datatype));
  if (!typed && outputs.every(({ place }) => place === undefined)) return encodeRaw(head, outputs);
  const response = generalResponse(head, outputs, typed);
  return head.streamed === true
    ? toBinary(ModelStreamInferResponseSchema, create(ModelStreamInferResponseSchema, { inferResponse: response }))
    : toBinary(ModelInferResponseSchema, response);
};

/** The parameter that every response on a stream has. */
export const finalResponse = {
  triton_final_response: { parameterChoice: { case: "boolParam" as const, value: true } },
};

/** Outputs in shared memory are named with their place, and have an empty content where others have theirs. */
const generalResponse = (head: ResponseHead, outputs: readonly PresentedOutput[], typed: boolean): ModelInferResponse =>
  create(ModelInferResponseSchema, {
    modelName: head.modelName,
    modelVersion: head.modelVersion,
    id: head.id,
    parameters: head.streamed === true ? finalResponse : {},
    outputs: outputs.map((output) => ({
      name: output.name,
      datatype: output.datatype,
      shape: output.shape.map(BigInt),
      parameters: output.place === undefined ? {} : placeParameters(output.place),
      ...(typed && output.place === undefined ? { contents: toTypedContents(output) ?? {} } : {}),
    })),
    rawOutputContents: typed ? [] : outputs.map(({ data }) => data),
  });

/** What an output's parameters say of its place in shared memory. */
export const placeParameters = ({ region, offset, byteSize }: RegionPlace): Parameters => ({
  shared_memory_region: { parameterChoice: { case: "stringParam", value: region } },
  shared_memory_byte_size: { parameterChoice: { case: "int64Param", value: BigInt(byteSize) } },
  ...(offset === 0 ? {} : { shared_memory_offset: { parameterChoice: { case: "int64Param", value: BigInt(offset) } } }),
});

/**
 * The general codec walks descriptors for every field, and most of a response is the same each time: everything before
 * the id and the tensors' data is encoded once for each shape of answer, and copied.
 */
const encodeRaw = (head: ResponseHead, outputs: readonly PresentedOutput[]): Uint8Array => {
  const prefix = prefixOf(head, outputs);
  const idBytes = head.id === "" ? 0 : Buffer.byteLength(head.id);
  let inner = prefix.length + (head.id === "" ? 0 : 1 + varintBytes(idBytes) + idBytes);
  for (const { data } of outputs) inner += 1 + varintBytes(data.byteLength) + data.byteLength;
  const wrapper = head.streamed === true ? 1 + varintBytes(inner) : 0;
  const message = Buffer.allocUnsafe(wrapper + inner);
  let at = 0;
  if (head.streamed === true) at = writeTag(message, at, streamTag, inner);
  message.set(prefix, at);
  at += prefix.length;
  if (head.id !== "") {
    at = writeTag(message, at, idTag, idBytes);
    at += message.write(head.id, at);
  }
  for (const { data } of outputs) {
    at = writeTag(message, at, rawTag, data.byteLength);
    message.set(data, at);
    at += data.byteLength;
  }
  return message;
};

/** Tags of length-delimited fields: ModelStreamInferResponse.infer_response, ModelInferResponse.id and .raw_output_contents. */
const streamTag = (2 << 3) | 2;
const idTag = (3 << 3) | 2;
const rawTag = (6 << 3) | 2;

interface KnownPrefix {
  readonly head: ResponseHead;
  readonly outputs: readonly Omit<PresentedOutput, "data">[];
  readonly prefix: Uint8Array;
}

const prefixes = new Map<string, Uint8Array>();
/** The prefix of the answer before: the next one is often its like. */
let newest: KnownPrefix | undefined;
const maxPrefixes = 1024;

/** Fields 1, 2, 4 and 5 of a response: model, version, parameters and the outputs' names, datatypes and shapes. */
const prefixOf = (head: ResponseHead, outputs: readonly PresentedOutput[]): Uint8Array => {
  if (newest === undefined || !isLike(newest, head, outputs)) {
    const shapes = outputs.map(({ name, datatype, shape }) => ({ name, datatype, shape }));
    newest = { head, outputs: shapes, prefix: keptPrefix(head, outputs) };
  }
  return newest.prefix;
};

const isLike = (known: KnownPrefix, head: ResponseHead, outputs: readonly PresentedOutput[]): boolean =>
  known.head.modelName === head.modelName &&
  known.head.modelVersion === head.modelVersion &&
  known.head.streamed === head.streamed &&
  known.outputs.length === outputs.length &&
  known.outputs.every(({ name, datatype, shape }, index) => {
    const output = outputs[index];
    return (
      output?.name === name &&
      output.datatype === datatype &&
      output.shape.length === shape.length &&
      shape.every((dimension, axis) => dimension === output.shape[axis])
    );
  });

const keptPrefix = (
  { modelName, modelVersion, streamed }: ResponseHead,
  outputs: readonly PresentedOutput[],
): Uint8Array => {
  let key = `${streamed === true}\0${modelName}\0${modelVersion}`;
  for (const { name, datatype, shape } of outputs) key += `\0${name}\0${datatype}\0${shape}`;
  let prefix = prefixes.get(key);
  if (prefix === undefined) {
    prefix = toBinary(
      ModelInferResponseSchema,
      create(ModelInferResponseSchema, {
        modelName,
        modelVersion,
        parameters: streamed === true ? finalResponse : {},
        outputs: outputs.map(({ name, datatype, shape }) => ({ name, datatype, shape: shape.map(BigInt) })),
      }),
    );
    if (prefixes.size >= maxPrefixes) prefixes.clear();
    prefixes.set(key, prefix);
  }
  return prefix;
};

const varintBytes = (value: number): number => {
  let bytes = 1;
  for (let rest = value; rest > 127; rest = Math.floor(rest / 128)) bytes++;
  return bytes;
};

/** Writes a tag below 16 and a length. @returns the place after them. */
const writeTag = (message: Uint8Array, at: number, tag: number, length: number): number => {
  message[at++] = tag;
  let rest = length;
  for (; rest > 127; rest = Math.floor(rest / 128)) message[at++] = (rest % 128) | 128;
  message[at++] = rest;
  return at;
};
