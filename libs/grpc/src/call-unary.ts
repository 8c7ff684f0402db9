import type { DescMethod, Message } from "@bufbuild/protobuf";
import { maxAttempts, type PreparedCall } from "./client.ts";
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

/**
 * Makes one unary call over bytes. A transport tries a call again only until its answer begins. A replica that dies
 * between the parts of an answer would fail a call that nothing has been seen of: where the call may be made again, so
 * it is here, three times in all.
 * @throws RpcError.
 */
const callUnaryRaw = async (request: Buffer, prepared: PreparedCall): Promise<Buffer> => {
  const { signal } = prepared;
  for (let attempt = 1; ; attempt++) {
    if (signal?.aborted === true) throw cancelledBefore(prepared.method, signal);
    const ended = await callOnce(request, prepared);
    if (!("error" in ended)) return ended.answer;
    const isRepeated = prepared.mayRepeat && ended.hadBegun && ended.error.code === "UNAVAILABLE";
    if (!isRepeated || attempt === maxAttempts) throw ended.error;
  }
};

type Ended = { readonly answer: Buffer } | { readonly error: RpcError; readonly hadBegun: boolean };

const callOnce = (request: Buffer, { client, path, method, metadata, options, signal }: PreparedCall): Promise<Ended> =>
  new Promise((resolve) => {
    let hadBegun = false;
    const fail = (error: RpcError) => resolve({ error, hadBegun });
    const call = client.makeUnaryRequest(path, identity, identity, request, metadata, options, (error, answer) => {
      signal?.removeEventListener("abort", cancel);
      if (error !== null) {
        fail(rpcErrorFromStatus(method, error));
      } else if (answer === undefined) {
        fail(new RpcError({ code: "INTERNAL", method, message: "The server sent no answer." }));
      } else {
        resolve({ answer });
      }
    });
    call.once("metadata", () => {
      hadBegun = true;
    });
    const cancel = () => call.cancel();
    signal?.addEventListener("abort", cancel, { once: true });
  });

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
