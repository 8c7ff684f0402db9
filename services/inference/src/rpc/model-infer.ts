import type { ModelInferRequest } from "@millrace/contracts/inference/grpc_service";
import { type CallContext, continueTrace, type RawUnary, rawUnary } from "@millrace/grpc";
import { type Parameters, readParameters, regionBytes } from "../protocol/infer-parameters.ts";
import { encodeInferResponse, type ResponseHead } from "../protocol/infer-response.ts";
import { type PresentedOutput, presentOutputs } from "../protocol/present-outputs.ts";
import { readInferRequest } from "../protocol/read-infer-request.ts";
import { requestTensors } from "../protocol/request-tensors.ts";
import type { Caller, InferencePath } from "../serving/inference-path.ts";
import type { SystemSharedMemory } from "../shared-memory/system-shared-memory.ts";

/** What a request with tensors needs. */
export interface TensorInference {
  readonly path: InferencePath;
  /** Undefined where it is off. */
  readonly memory: SystemSharedMemory | undefined;
}

/** Runs a model on tensors. Over bytes, so that the tensors are copied once in (to the workers) and once out. */
export const modelInfer = (inference: TensorInference): RawUnary =>
  rawUnary((bytes, call) => infer(inference, readInferRequest(bytes), bytes.byteLength, call));

/**
 * Answers one request with the bytes of its ModelInferResponse.
 * @param messageBytes the size of the message, which a deployment may limit.
 * @param encode makes the bytes of the requested outputs, at once.
 */
export const infer = (
  { path, memory }: TensorInference,
  request: ModelInferRequest,
  messageBytes: number,
  call: CallContext,
  encode: (head: ResponseHead, outputs: readonly PresentedOutput[]) => Uint8Array = encodeInferResponse,
): Promise<Uint8Array> => {
  const { priority, queueTimeoutMs, traceparent, outputs: requested } = readParameters(request);
  let typed = false;
  const { modelName, modelVersion, id } = request;
  const caller = callerOf(call, request.parameters, priority, queueTimeoutMs);
  return path.run(
    {
      model: modelName,
      version: modelVersion,
      id,
      messageBytes: memory === undefined ? messageBytes : messageBytes + regionBytes(request.inputs),
      tensors: () => {
        const read = requestTensors(request, memory);
        typed = read.typed;
        return read.tensors;
      },
      outputs: requested.map(({ name }) => name),
      caller: traceparent === undefined ? caller : inTrace(caller, traceparent),
    },
    (served, outputs) =>
      encode(
        { modelName, modelVersion: served.version, id, typed },
        presentOutputs(served, outputs, requested, memory),
      ),
  );
};

/** A caller who names the trace of one request; one that is malformed is as if it were not there, as in a header. */
const inTrace = (caller: Caller, traceparent: string): Caller => {
  const { traceId, parentSpanId } = continueTrace(traceparent);
  return parentSpanId === undefined ? caller : { ...caller, traceId: () => traceId };
};

/** The caller of a gRPC call. */
export const callerOf = (
  call: CallContext,
  parameters: Parameters = {},
  priority?: number,
  queueTimeoutMs?: number,
): Caller => ({
  deadlineMs: call.deadlineMs,
  signal: call.cancellation,
  traceId: () => call.traceId,
  priority,
  queueTimeoutMs,
  header: (name) => call.metadata.get(name)[0]?.toString(),
  parameter: (name) => {
    const choice = parameters[name]?.parameterChoice;
    return choice?.value === undefined ? undefined : String(choice.value);
  },
});
