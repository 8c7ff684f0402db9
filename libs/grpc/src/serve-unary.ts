import type { DescMethod, Message } from "@bufbuild/protobuf";
import { type CallContext, runInCall } from "./call-context.ts";
import { RequestInvalidError } from "./call-errors.ts";
import type { ObservedMethod } from "./call-observer.ts";
import { bufferOf, decodeMessage, encodeAnswer, plainBytes } from "./message-codec.ts";
import { validateRequest } from "./request-validation.ts";
import { ServerCall, type ServerEnvironment } from "./server-call.ts";
import { type EncodedMessage, RawUnary } from "./service-implementation.ts";
import type { UnaryHandler } from "./unary-stream.ts";

/** Turns the handler of a unary method into what answers its calls, at their streams or in grpc-js. */
export const serveUnary = (
  method: DescMethod,
  observed: ObservedMethod,
  handler: unknown,
  environment: ServerEnvironment,
): UnaryHandler => {
  const answer = answerOf(method, handler);
  return (call, respond) => {
    const context = new ServerCall(observed, call, environment);
    const fail = (error: unknown) => respond(context.fail(error));
    let pending: Promise<Uint8Array>;
    try {
      context.authenticate();
      pending = runInCall(context, answer, call.request, context);
    } catch (error) {
      fail(error);
      return;
    }
    pending.then((bytes) => {
      context.finish("OK");
      respond(null, bufferOf(bytes), context.trailer);
    }, fail);
  };
};

const answerOf = (
  method: DescMethod,
  handler: unknown,
): ((request: Buffer, call: CallContext) => Promise<Uint8Array>) => {
  if (handler instanceof RawUnary) {
    const { handle } = handler;
    return (request, call) => handle(plainBytes(request), call);
  }
  const handle = handler as (request: Message, call: CallContext) => Promise<Message | EncodedMessage>;
  return async (request, call) => encodeAnswer(method.output, await handle(decodeRequest(method, request), call));
};

/** Decodes and validates one request. @throws RequestInvalidError. */
export const decodeRequest = (method: DescMethod, bytes: Buffer): Message => {
  let message: Message;
  try {
    message = decodeMessage(method.input, bytes);
  } catch (cause) {
    const text = cause instanceof Error ? cause.message : String(cause);
    throw new RequestInvalidError(`The request is no ${method.input.typeName}: ${text}.`, {
      violations: [{ field: "", expected: `a ${method.input.typeName} message`, got: `${bytes.length} other bytes` }],
    });
  }
  validateRequest(method.input, message);
  return message;
};
