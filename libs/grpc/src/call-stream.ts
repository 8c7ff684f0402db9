import type { DescMethod, Message } from "@bufbuild/protobuf";
import type { ClientDuplexStream, ClientReadableStream, ClientWritableStream, ServiceError } from "@grpc/grpc-js";
import { cancelledBefore, unreadableAnswer } from "./call-unary.ts";
import type { PreparedCall } from "./client.ts";
import { IncomingStream } from "./incoming-stream.ts";
import { decodeMessage, encodeMessage, identity } from "./message-codec.ts";
import { RpcError, rpcErrorFromStatus } from "./rpc-error.ts";

type Answering = ClientReadableStream<Buffer> | ClientDuplexStream<Buffer, Buffer>;
type Asking = ClientWritableStream<Buffer> | ClientDuplexStream<Buffer, Buffer>;

const server = (method: DescMethod, request: Message, prepared: PreparedCall): AsyncIterable<Message> => {
  const { client, path, metadata, options } = prepared;
  const bytes = encodeMessage(method.input, request);
  return answersOf(
    method,
    client.makeServerStreamRequest(path, identity, identity, bytes, metadata, options),
    prepared,
  );
};

const bidi = (method: DescMethod, requests: AsyncIterable<Message>, prepared: PreparedCall): AsyncIterable<Message> => {
  const { client, path, metadata, options } = prepared;
  const call = client.makeBidiStreamRequest<Buffer, Buffer>(path, identity, identity, metadata, options);
  const answers = answersOf(method, call, prepared);
  send(method, requests, call).catch((error: unknown) => {
    // The requests' own error is what the reader has to see, not the cancellation that it causes.
    answers.fail(error);
    call.cancel();
  });
  return answers;
};

const client = async (
  method: DescMethod,
  requests: AsyncIterable<Message>,
  prepared: PreparedCall,
): Promise<Message> => {
  const { signal } = prepared;
  if (signal?.aborted === true) {
    throw cancelledBefore(prepared.method, signal);
  }
  const bytes = await new Promise<Buffer>((resolve, reject) => {
    const call = prepared.client.makeClientStreamRequest<Buffer, Buffer>(
      prepared.path,
      identity,
      identity,
      prepared.metadata,
      prepared.options,
      (error, answer) => {
        signal?.removeEventListener("abort", cancel);
        if (error !== null) {
          reject(rpcErrorFromStatus(prepared.method, error));
        } else if (answer === undefined) {
          reject(new RpcError({ code: "INTERNAL", method: prepared.method, message: "The server sent no answer." }));
        } else {
          resolve(answer);
        }
      },
    );
    const cancel = () => call.cancel();
    signal?.addEventListener("abort", cancel, { once: true });
    send(method, requests, call).catch((error: unknown) => {
      reject(error);
      call.cancel();
    });
  });
  try {
    return decodeMessage(method.output, bytes);
  } catch (cause) {
    throw unreadableAnswer(method, prepared.method, cause);
  }
};

const answersOf = (method: DescMethod, call: Answering, prepared: PreparedCall): IncomingStream<Message> => {
  const { signal } = prepared;
  const cancel = () => call.cancel();
  call.on("status", () => signal?.removeEventListener("abort", cancel));
  const answers = new IncomingStream<Message>(
    call,
    (bytes) => {
      try {
        return decodeMessage(method.output, bytes);
      } catch (cause) {
        call.cancel();
        throw unreadableAnswer(method, prepared.method, cause);
      }
    },
    {
      server: false,
      onError: (error) => rpcErrorFromStatus(prepared.method, error as ServiceError),
      onReturn: cancel,
    },
  );
  if (signal?.aborted === true) {
    cancel();
  } else {
    signal?.addEventListener("abort", cancel, { once: true });
  }
  return answers;
};

/** Sends requests no faster than the server takes them, and stops when the call is over. */
const send = async (method: DescMethod, requests: AsyncIterable<Message>, call: Asking): Promise<void> => {
  let over = false;
  let wake: (() => void) | undefined;
  const end = () => {
    over = true;
    wake?.();
  };
  call.on("status", end);
  call.on("error", end);
  call.on("close", end);
  call.on("drain", () => wake?.());
  const iterator = requests[Symbol.asyncIterator]();
  for (;;) {
    const step = await new Promise<IteratorResult<Message> | undefined>((resolve, reject) => {
      const stop = () => over && resolve(undefined);
      wake = stop;
      stop();
      iterator.next().then(resolve, reject);
    });
    if (step === undefined || over) {
      await iterator.return?.();
      return;
    }
    if (step.done === true) {
      call.end();
      return;
    }
    if (!call.write(encodeMessage(method.input, step.value)) && !over) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  }
};

/** Makes streaming calls, one function for each shape. A call begins at once, not with the first `next()`. */
export const callStream = { server, client, bidi };
