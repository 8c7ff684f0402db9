import type { Readable, Writable } from "node:stream";
import type { DescMethod, Message } from "@bufbuild/protobuf";
import type {
  handleBidiStreamingCall,
  handleClientStreamingCall,
  handleServerStreamingCall,
  Metadata,
} from "@grpc/grpc-js";
import { type CallContext, runInCall } from "./call-context.ts";
import { CallCancelledError, StoppingError } from "./call-errors.ts";
import type { ObservedMethod } from "./call-observer.ts";
import { IncomingStream } from "./incoming-stream.ts";
import { bufferOf, encodeAnswer, encodeMessage, plainBytes } from "./message-codec.ts";
import { pipelinedAnswers } from "./pipelined-answers.ts";
import { decodeRequest } from "./serve-unary.ts";
import { ServerCall, type ServerEnvironment } from "./server-call.ts";
import { type EncodedMessage, RawPipelined } from "./service-implementation.ts";

/** The writing half of a stream of grpc-js. */
type OutgoingCall = Writable & { end(metadata?: Metadata): void };

/** Turns the handler of a server-streaming method into what grpc-js calls. */
export const serveServerStream = (
  method: DescMethod,
  observed: ObservedMethod,
  handler: unknown,
  environment: ServerEnvironment,
): handleServerStreamingCall<Buffer, Buffer> => {
  const handle = handler as (request: Message, call: CallContext) => AsyncIterable<Message>;
  return (call) => {
    const context = new ServerCall(observed, call, environment);
    void answerStream(call, context, environment, undefined, (): AsyncIterable<Buffer> => {
      context.authenticate();
      const answers = runInCall(context, handle, decodeRequest(method, call.request), context);
      return mapped(answers, (answer) => encodeMessage(method.output, answer));
    });
  };
};

/** Turns the handler of a bidirectional method into what grpc-js calls. */
export const serveBidi = (
  method: DescMethod,
  observed: ObservedMethod,
  handler: unknown,
  environment: ServerEnvironment,
): handleBidiStreamingCall<Buffer, Buffer> => {
  const raw = handler instanceof RawPipelined;
  const handle = (raw ? pipelinedAnswers(handler) : handler) as (
    requests: AsyncIterable<unknown>,
    call: CallContext,
  ) => AsyncIterable<Uint8Array | Message>;
  const encode = raw
    ? (answer: unknown) => bufferOf(answer as Uint8Array)
    : (answer: unknown) => encodeAnswer(method.output, answer as Message | EncodedMessage);
  return (call) => {
    const context = new ServerCall(observed, call, environment);
    const requests = incoming<unknown>(call, raw ? plainBytes : (bytes) => decodeRequest(method, bytes));
    void answerStream(call, context, environment, requests, () => {
      context.authenticate();
      return mapped(runInCall(context, handle, requests, context), encode);
    });
  };
};

/** Turns the handler of a client-streaming method into what grpc-js calls. */
export const serveClientStream = (
  method: DescMethod,
  observed: ObservedMethod,
  handler: unknown,
  environment: ServerEnvironment,
): handleClientStreamingCall<Buffer, Buffer> => {
  const handle = handler as (requests: AsyncIterable<Message>, call: CallContext) => Promise<Message>;
  return (call, respond) => {
    const context = new ServerCall(observed, call, environment);
    const requests = incoming(call, (bytes) => decodeRequest(method, bytes));
    const stream = {
      // The caller has to know that its further messages were not counted.
      finishSoon: () => requests.fail(new StoppingError()),
      stop: () => context.interrupt(new StoppingError()),
    };
    context.onInterrupt = () => requests.fail(context.interruption ?? new CallCancelledError());
    environment.streams.add(stream);
    const run = async () => {
      context.authenticate();
      return encodeMessage(method.output, await runInCall(context, handle, requests, context));
    };
    run()
      .then(
        (bytes) => {
          context.finish("OK");
          respond(null, bytes, context.trailer);
        },
        (error: unknown) => respond(context.fail(error)),
      )
      .finally(() => environment.streams.delete(stream));
  };
};

const incoming = <T>(call: Readable, decode: (bytes: Buffer) => T): IncomingStream<T> =>
  new IncomingStream(call, decode, { server: true, onError: (error) => error, onReturn: () => {} });

/** The writer counts messages, whatever their size: one of so many bytes is waited for alone. */
const largeBytes = 256 * 1024;

/** Sends the answers of a handler one after the other, no faster than the caller takes them. */
const answerStream = async (
  call: OutgoingCall,
  context: ServerCall,
  environment: ServerEnvironment,
  requests: IncomingStream<unknown> | undefined,
  open: () => AsyncIterable<Buffer>,
): Promise<void> => {
  let interruptNext: (() => void) | undefined;
  let resumeWriting: (() => void) | undefined;
  let finishing = false;
  let cutShort = false;
  const stream = {
    finishSoon: () => {
      finishing = true;
      if (requests !== undefined && !requests.ended) {
        cutShort = true;
        requests.end();
      }
    },
    stop: () => context.interrupt(new StoppingError()),
  };
  context.onInterrupt = () => {
    requests?.fail(context.interruption ?? new CallCancelledError());
    interruptNext?.();
    resumeWriting?.();
  };
  call.on("drain", () => resumeWriting?.());
  environment.streams.add(stream);
  let iterator: AsyncIterator<Buffer> | undefined;
  try {
    const opened = open()[Symbol.asyncIterator]();
    iterator = opened;
    for (;;) {
      if (context.interruption !== undefined) {
        throw context.interruption;
      }
      // A promise of its own for each answer: racing against one that lives as long as the call would grow with each.
      const step = await new Promise<IteratorResult<Buffer>>((resolve, reject) => {
        interruptNext = () => reject(context.interruption ?? new CallCancelledError());
        runInCall(context, () => opened.next()).then(resolve, reject);
      });
      if (step.done === true) {
        break;
      }
      if (step.value.length < largeBytes) {
        if (!call.write(step.value) && context.interruption === undefined) {
          await new Promise<void>((resolve) => {
            resumeWriting = resolve;
          });
        }
      } else if (context.interruption === undefined) {
        await new Promise<void>((resolve) => {
          interruptNext = resolve;
          call.write(step.value, () => resolve());
        });
      }
      if (finishing && requests === undefined) {
        throw new StoppingError();
      }
    }
    iterator = undefined;
    if (cutShort) {
      throw new StoppingError();
    }
    context.finish("OK");
    call.end(context.trailer);
  } catch (error) {
    // The handler's own clean-up runs when its pending work settles; its errors can no longer reach the caller.
    iterator?.return?.().then(undefined, (late: unknown) => {
      environment.onFailure?.({ error: late, method: context.method, traceId: context.traceId, code: "INTERNAL" });
    });
    const status = context.fail(error);
    if (!call.destroyed) {
      call.emit("error", status);
    }
  } finally {
    environment.streams.delete(stream);
  }
};

/** Maps without a generator between: `next` and `return` of the source keep their meaning. */
const mapped = <T>(source: AsyncIterable<T>, map: (value: T) => Buffer): AsyncIterable<Buffer> => ({
  [Symbol.asyncIterator]: () => {
    const iterator = source[Symbol.asyncIterator]();
    return {
      next: async () => {
        const step = await iterator.next();
        return step.done === true ? { done: true, value: undefined } : { done: false, value: map(step.value) };
      },
      return: async () => {
        await iterator.return?.();
        return { done: true, value: undefined };
      },
    };
  },
});
