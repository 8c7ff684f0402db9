import { fromBinary } from "@bufbuild/protobuf";
import { type ModelInferRequest, ModelInferRequestSchema } from "@millrace/contracts/inference/grpc_service";
import { MillraceError, Reason } from "@millrace/errors";
import { type RawUnary, rawUnary } from "@millrace/grpc";
import { type Tensor, TensorInvalidError } from "@millrace/tensor";
import type { InferOptions } from "../execution/model-lane.ts";
import { checkParameters } from "../protocol/infer-parameters.ts";
import { encodeInferResponse } from "../protocol/infer-response.ts";
import { inputsOf } from "../protocol/model-inputs.ts";
import { requestTensors } from "../protocol/request-tensors.ts";
import type { ModelRoster } from "../serving/model-roster.ts";

/** Thrown when a message is larger than the deployment of its model allows. */
export class MessageTooLargeError extends MillraceError {
  constructor(model: string, maxBytes: number, bytes: number) {
    super(
      "RESOURCE_EXHAUSTED",
      Reason.TOO_LARGE,
      `A request to ${model} may have ${maxBytes} bytes; this one has ${bytes}.`,
      { metadata: { maxMessageBytes: String(maxBytes) } },
    );
  }
}

/** Runs a model on tensors. Over bytes, so that the tensors are copied once in (to the workers) and once out. */
export const modelInfer = (roster: ModelRoster): RawUnary =>
  rawUnary((bytes, call) => infer(roster, decodeInferRequest(bytes), bytes.byteLength, call));

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
export const infer = (
  roster: ModelRoster,
  request: ModelInferRequest,
  messageBytes: number,
  { deadlineMs, signal }: InferOptions,
  encode = encodeInferResponse,
): Promise<Uint8Array> => {
  const { modelName, modelVersion, id } = request;
  const served = roster.find(modelName, modelVersion);
  if (served.maxMessageBytes !== undefined && messageBytes > served.maxMessageBytes) {
    throw new MessageTooLargeError(modelName, served.maxMessageBytes, messageBytes);
  }
  const timeoutUs = checkParameters(request);
  const { tensors, typed } = requestTensors(request);
  const { lane } = served;
  const { inputs, rows } = inputsOf(tensors, served.inputs, lane.batched, lane.options.maxBatchSize);
  const order = outputOrder(request, served.outputs);
  const timeoutAtMs = timeoutUs === undefined ? undefined : Date.now() + timeoutUs / 1000;
  const untilMs = Math.min(deadlineMs ?? Infinity, timeoutAtMs ?? Infinity);
  const head = { modelName, modelVersion: served.version, id, typed };
  return lane.infer(inputs, rows, { deadlineMs: untilMs === Infinity ? undefined : untilMs, signal }, (outputs) =>
    encode(head, order === undefined ? outputs : pick(outputs, order)),
  );
};

/** The requested outputs as places in the model's order; undefined for all of them. */
const outputOrder = (
  request: ModelInferRequest,
  outputs: readonly { readonly name: string }[],
): readonly number[] | undefined => {
  if (request.outputs.length === 0) return undefined;
  return request.outputs.map(({ name }) => {
    const place = outputs.findIndex((output) => output.name === name);
    if (place < 0) {
      const names = outputs.map((output) => output.name).join(", ");
      throw new TensorInvalidError({
        field: `outputs.${name}`,
        expected: `one of the model's outputs: ${names}`,
        got: name,
      });
    }
    return place;
  });
};

const pick = (outputs: readonly Tensor[], order: readonly number[]): readonly Tensor[] =>
  order.flatMap((place) => outputs[place] ?? []);
