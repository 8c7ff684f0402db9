import { fromBinary } from "@bufbuild/protobuf";
import {
  type InferParameter,
  type ModelInferRequest,
  ModelInferRequestSchema,
} from "@millrace/contracts/inference/grpc_service";
import { MillraceError, Reason } from "@millrace/errors";
import { type CallContext, type RawUnary, rawUnary } from "@millrace/grpc";
import type { Tensor } from "@millrace/tensor";
import { readParameters } from "../protocol/infer-parameters.ts";
import { encodeInferResponse, type ResponseHead } from "../protocol/infer-response.ts";
import { requestTensors } from "../protocol/request-tensors.ts";
import type { Caller, InferencePath } from "../serving/inference-path.ts";

/** Runs a model on tensors. Over bytes, so that the tensors are copied once in (to the workers) and once out. */
export const modelInfer = (path: InferencePath): RawUnary =>
  rawUnary((bytes, call) => infer(path, decodeInferRequest(bytes), bytes.byteLength, call));

/** @throws MillraceError where the bytes are no request. */
export const decodeInferRequest = (bytes: Uint8Array): ModelInferRequest => {
  try {
    return fromBinary(ModelInferRequestSchema, bytes);
  } catch (cause) {
    throw new MillraceError("INVALID_ARGUMENT", Reason.FIELD_INVALID, "The message is no ModelInferRequest.", {
      cause,
    });
  }
};

/**
 * Answers one request with the bytes of its ModelInferResponse.
 * @param messageBytes the size of the message, which a deployment may limit.
 * @param encode makes the bytes of the requested outputs, at once.
 */
export const infer = async (
  path: InferencePath,
  request: ModelInferRequest,
  messageBytes: number,
  call: CallContext,
  encode: (head: ResponseHead, outputs: readonly Tensor[]) => Uint8Array = encodeInferResponse,
): Promise<Uint8Array> => {
  const { priority, queueTimeoutMs } = readParameters(request);
  let typed = false;
  const { modelName, modelVersion, id } = request;
  return await path.run(
    {
      model: modelName,
      version: modelVersion,
      id,
      messageBytes,
      tensors: () => {
        const read = requestTensors(request);
        typed = read.typed;
        return read.tensors;
      },
      outputs: request.outputs.map(({ name }) => name),
      caller: callerOf(call, request.parameters, priority, queueTimeoutMs),
    },
    (served, outputs) => encode({ modelName, modelVersion: served.version, id, typed }, outputs),
  );
};

/** The caller of a gRPC call. */
export const callerOf = (
  call: CallContext,
  parameters: Readonly<Record<string, InferParameter>> = {},
  priority?: number,
  queueTimeoutMs?: number,
): Caller => ({
  deadlineMs: call.deadlineMs,
  signal: call.signal,
  traceId: call.traceId,
  priority,
  queueTimeoutMs,
  header: (name) => call.metadata.get(name)[0]?.toString(),
  parameter: (name) => {
    const choice = parameters[name]?.parameterChoice;
    return choice?.value === undefined ? undefined : String(choice.value);
  },
});
