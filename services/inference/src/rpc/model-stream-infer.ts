import { create, toBinary } from "@bufbuild/protobuf";
import { type ModelInferRequest, ModelStreamInferResponseSchema } from "@millrace/contracts/inference/grpc_service";
import { type CallContext, type RawPipelined, rawPipelined, statusFromError } from "@millrace/grpc";
import { encodeInferResponse, finalResponse, type ResponseHead } from "../protocol/infer-response.ts";
import type { PresentedOutput } from "../protocol/present-outputs.ts";
import { readInferRequest } from "../protocol/read-infer-request.ts";
import { infer, type TensorInference } from "./model-infer.ts";

/**
 * Runs models on tensors, many requests on one stream. Requests run at the same time, so that they are joined into
 * batches, and are answered in their order. One that fails is answered with its error, and the stream stays open. No more
 * of them is read while those before it fill the stream's window: a caller that does not read its answers waits.
 *
 * @param onDefect is given what is no error of ours, for the log.
 */
export const modelStreamInfer = (inference: TensorInference, onDefect: (error: unknown) => void): RawPipelined =>
  rawPipelined((bytes, call) => answer(inference, bytes, call, onDefect));

const answer = async (
  inference: TensorInference,
  bytes: Uint8Array,
  call: CallContext,
  onDefect: (error: unknown) => void,
): Promise<Uint8Array> => {
  let request: ModelInferRequest | undefined;
  try {
    request = readInferRequest(bytes);
    return await infer(inference, request, bytes.byteLength, call, encodeStreamed);
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

const encodeStreamed = (head: ResponseHead, outputs: readonly PresentedOutput[]): Uint8Array =>
  encodeInferResponse({ ...head, streamed: true }, outputs);
