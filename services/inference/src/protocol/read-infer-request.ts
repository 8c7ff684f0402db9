import { fromBinary } from "@bufbuild/protobuf";
import { type ModelInferRequest, ModelInferRequestSchema } from "@millrace/contracts/inference/grpc_service";
import { MillraceError, Reason } from "@millrace/errors";

type InputTensor = ModelInferRequest["inputs"][number];

/**
 * Reads a request. The general codec walks descriptors for each field, which costs as much as the rest of a small call:
 * the common form (names, shapes and raw contents, without parameters and typed contents) is read by hand, and every other
 * by the codec. Wire format: https://protobuf.dev/programming-guides/encoding/.
 * @throws MillraceError where the bytes are no request.
 */
export const readInferRequest = (bytes: Uint8Array): ModelInferRequest => {
  const read = readCommonForm(bytes);
  if (read !== undefined) return read;
  try {
    return fromBinary(ModelInferRequestSchema, bytes);
  } catch (cause) {
    throw new MillraceError("INVALID_ARGUMENT", Reason.FIELD_INVALID, "The message is no ModelInferRequest.", {
      cause,
    });
  }
};

/** Tags of ModelInferRequest's and InferInputTensor's length-delimited fields, and of a shape that is not packed. */
const tag = { modelName: 0x0a, modelVersion: 0x12, id: 0x1a, inputs: 0x2a, outputs: 0x32, rawInputContents: 0x3a };
const inputTag = { name: 0x0a, datatype: 0x12, shape: 0x1a };
const outputTag = { name: 0x0a };

/** A place in the bytes, and where they end. */
interface Cursor {
  readonly bytes: Uint8Array;
  at: number;
}

/** Undefined where the message has anything else in it, or ends in the midst of a field. */
const readCommonForm = (bytes: Uint8Array): ModelInferRequest | undefined => {
  const request: ModelInferRequest = {
    $typeName: "inference.ModelInferRequest",
    modelName: "",
    modelVersion: "",
    id: "",
    parameters: {},
    inputs: [],
    outputs: [],
    rawInputContents: [],
  };
  const cursor: Cursor = { bytes, at: 0 };
  while (cursor.at < bytes.length) {
    const field = bytes[cursor.at++];
    const end = fieldEnd(cursor, bytes.length);
    if (end < 0) return undefined;
    if (field === tag.rawInputContents) {
      request.rawInputContents.push(bytes.subarray(cursor.at, end));
    } else if (field === tag.inputs) {
      const input = readInput(cursor, end);
      if (input === undefined) return undefined;
      request.inputs.push(input);
    } else if (field === tag.outputs) {
      const name = readOnlyName(cursor, end);
      if (name === undefined) return undefined;
      request.outputs.push({
        $typeName: "inference.ModelInferRequest.InferRequestedOutputTensor",
        name,
        parameters: {},
      });
    } else {
      const text = readAscii(bytes, cursor.at, end);
      if (text === undefined) return undefined;
      if (field === tag.modelName) request.modelName = text;
      else if (field === tag.modelVersion) request.modelVersion = text;
      else if (field === tag.id) request.id = text;
      else return undefined;
    }
    cursor.at = end;
  }
  return request;
};

const readInput = (cursor: Cursor, inputEnd: number): InputTensor | undefined => {
  const { bytes } = cursor;
  let name = "";
  let datatype = "";
  const shape: bigint[] = [];
  while (cursor.at < inputEnd) {
    const field = bytes[cursor.at++];
    const end = fieldEnd(cursor, inputEnd);
    if (end < 0) return undefined;
    if (field === inputTag.shape) {
      while (cursor.at < end) {
        const dimension = readVarint(cursor, end);
        if (dimension < 0) return undefined;
        shape.push(BigInt(dimension));
      }
      continue;
    }
    const text = readAscii(bytes, cursor.at, end);
    if (text === undefined) return undefined;
    if (field === inputTag.name) name = text;
    else if (field === inputTag.datatype) datatype = text;
    else return undefined;
    cursor.at = end;
  }
  return { $typeName: "inference.ModelInferRequest.InferInputTensor", name, datatype, shape, parameters: {} };
};

const readOnlyName = (cursor: Cursor, outputEnd: number): string | undefined => {
  const { bytes } = cursor;
  let name = "";
  while (cursor.at < outputEnd) {
    const field = bytes[cursor.at++];
    const end = fieldEnd(cursor, outputEnd);
    const text = field === outputTag.name && end >= 0 ? readAscii(bytes, cursor.at, end) : undefined;
    if (text === undefined) return undefined;
    name = text;
    cursor.at = end;
  }
  return name;
};

/** Reads a length. @returns where its field ends; -1 where that is beyond `limit`. */
const fieldEnd = (cursor: Cursor, limit: number): number => {
  const length = readVarint(cursor, limit);
  const end = cursor.at + length;
  return length < 0 || end > limit ? -1 : end;
};

/** A varint of up to four bytes; -1 for a longer one, which the general codec reads. */
const readVarint = (cursor: Cursor, limit: number): number => {
  const { bytes } = cursor;
  let value = 0;
  for (let shift = 0; shift < 28 && cursor.at < limit; shift += 7) {
    const byte = bytes[cursor.at++] ?? 0;
    value |= (byte & 127) << shift;
    if (byte < 128) return value;
  }
  return -1;
};

/** Short ASCII text; undefined for any other, which the general codec reads and checks. */
const readAscii = (bytes: Uint8Array, start: number, end: number): string | undefined => {
  if (end - start > longestText) return undefined;
  let text = "";
  for (let at = start; at < end; at++) {
    const byte = bytes[at] ?? 0;
    if (byte > 127) return undefined;
    text += String.fromCharCode(byte);
  }
  return text;
};

const longestText = 128;
