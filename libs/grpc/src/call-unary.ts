import type { DescMethod, Message } from "@bufbuild/protobuf";
import type { PreparedCall } from "./client.ts";
import { decodeMessage, encodeMessage, identity } from "./message-codec.ts";
import { RpcError, rpcErrorFromStatus } from "./rpc-error.ts";

/** Makes one unary call. @throws RpcError. */
export const callUnary = async (method: DescMethod, request: Message, prepared: PreparedCall): Promise<Message> => {
  const bytes = await callUnaryRaw(encodeMessage(method.input, request), prepared);
  try {
    return decodeMessage(method.output, bytes);
  } catch (cause) {
    throw unreadableAnswer(method, prepared.method, cause);
  }
};

/** Makes one unary call over bytes. @throws RpcError. */
export const callUnaryRaw = (request: Buffer, prepared: PreparedCall): Promise<Buffer> => {
  const { client, path, metadata, options, signal } = prepared;
  if (signal?.aborted === true) {
    return Promise.reject(cancelledBefore(prepared.method, signal));
  }
  return new Promise((resolve, reject) => {
    const call = client.makeUnaryRequest(path, identity, identity, request, metadata, options, (error, answer) => {
      signal?.removeEventListener("abort", cancel);
      if (error !== null) {
        reject(rpcErrorFromStatus(prepared.method, error));
      } else if (answer === undefined) {
        reject(new RpcError({ code: "INTERNAL", method: prepared.method, message: "The server sent no answer." }));
      } else {
        resolve(answer);
      }
    });
    const cancel = () => call.cancel();
    signal?.addEventListener("abort", cancel, { once: true });
  });
};

/** The error of a call that was cancelled before it began. */
export const cancelledBefore = (method: string, signal: AbortSignal): RpcError =>
  new RpcError({
    code: "CANCELLED",
    method,
    message: "The call was cancelled before it began.",
    cause: signal.reason,
  });

/** The error for an answer that is not of the contract. */
export const unreadableAnswer = (method: DescMethod, name: string, cause: unknown): RpcError =>
  new RpcError({ code: "INTERNAL", method: name, message: `The answer is no ${method.output.typeName}.`, cause });
