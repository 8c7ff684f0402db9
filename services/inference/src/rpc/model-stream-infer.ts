import { create, toBinary } from "@bufbuild/protobuf";
import { type ModelInferRequest, ModelStreamInferResponseSchema } from "@millrace/contracts/inference/grpc_service";
import { type CallContext, type RawBidi, rawBidi, statusFromError } from "@millrace/grpc";
import type { Tensor } from "@millrace/tensor";
import { encodeInferResponse, finalResponse, type ResponseHead } from "../protocol/infer-response.ts";
import type { InferencePath } from "../serving/inference-path.ts";
import { decodeInferRequest, infer } from "./model-infer.ts";

/** Requests of one stream that are under way at once: the next is read when the oldest is answered. */
const maxInFlight = 1024;

/**
 * Runs models on tensors, many requests on one stream. Requests run at the same time, so that they are joined into
 * batches, and are answered in their order. One that fails is answered with its error, and the stream stays open.
 *
 * @param onDefect is given what is no error of ours, for the log.
 */
export const modelStreamInfer = (path: InferencePath, onDefect: (error: unknown) => void): RawBidi =>
  rawBidi((requests, call) => answers(path, requests, call, onDefect));

async function* answers(
  path: InferencePath,
  requests: AsyncIterable<Uint8Array>,
  call: CallContext,
  onDefect: (error: unknown) => void,
): AsyncIterable<Uint8Array> {
  const pending: Promise<Uint8Array>[] = [];
  let wake = () => {};
  let ended = false;
  let failure: { readonly error: unknown } | undefined;
  const read = async (): Promise<void> => {
    try {
      for await (const bytes of requests) {
        pending.push(answer(path, bytes, call, onDefect));
        wake();
        while (pending.length >= maxInFlight && !call.signal.aborted) await pending[0];
      }
    } catch (error) {
      failure = { error };
    }
    ended = true;
    wake();
  };
  void read();
  for (;;) {
    const next = pending[0];
    if (next !== undefined) {
      const bytes = await next;
      pending.shift();
      yield bytes;
    } else if (failure !== undefined) {
      throw failure.error;
    } else if (ended) {
      return;
    } else {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  }
}

const answer = async (
  path: InferencePath,
  bytes: Uint8Array,
  call: CallContext,
  onDefect: (error: unknown) => void,
): Promise<Uint8Array> => {
  let request: ModelInferRequest | undefined;
  try {
    request = decodeInferRequest(bytes);
    return await infer(path, request, bytes.byteLength, call, encodeStreamed);
  } catch (error) {
    const { code, details } = statusFromError(error, call.traceId);
    if (code === internal) onDefect(error);
    return toBinary(
      ModelStreamInferResponseSchema,
      create(ModelStreamInferResponseSchema, {
        errorMessage: details,
        inferResponse: {
          modelName: request?.modelName ?? "",
          modelVersion: request?.modelVersion ?? "",
          id: request?.id ?? "",
          parameters: finalResponse,
        },
      }),
    );
  }
};

/** The number of gRPC's INTERNAL. */
const internal = 13;

const encodeStreamed = (head: ResponseHead, outputs: readonly Tensor[]): Uint8Array =>
  encodeInferResponse({ ...head, streamed: true }, outputs);
