import {
  create,
  type DescMessage,
  fromBinary,
  type Message,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { EncodedMessage } from "./service-implementation.ts";

/** A plain view of the same memory. A Buffer's `slice` shares memory and its type leaks into decoded messages. */
export const plainBytes = (bytes: Buffer): Uint8Array =>
  new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** The same memory as a Buffer, which is what grpc-js sends. */
export const bufferOf = (bytes: Uint8Array): Buffer =>
  Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** Decodes one message. Its `bytes` fields are views into the received memory. */
export const decodeMessage = <D extends DescMessage>(schema: D, bytes: Buffer): MessageShape<D> =>
  fromBinary(schema, plainBytes(bytes));

/** Encodes a message, or what a message can be made of. */
export const encodeMessage = <D extends DescMessage>(schema: D, init: MessageInitShape<D>): Buffer =>
  bufferOf(toBinary(schema, create(schema, init)));

/** The bytes of a handler's answer. */
export const encodeAnswer = (schema: DescMessage, answer: Message | EncodedMessage): Buffer =>
  answer instanceof EncodedMessage ? bufferOf(answer.bytes) : encodeMessage(schema, answer);

/** Neither decodes nor encodes: messages cross grpc-js as bytes. */
export const identity = (bytes: Buffer): Buffer => bytes;
