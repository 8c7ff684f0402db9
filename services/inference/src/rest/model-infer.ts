import { BodyInvalidError, type RestAnswer, type RestCall } from "@millrace/rest";
import type { Tensor } from "@millrace/tensor";
import { type Parameters, type ParameterValue, readParameters } from "../protocol/infer-parameters.ts";
import { type PresentedOutput, presentOutputs } from "../protocol/present-outputs.ts";
import { RawExchange } from "../protocol/raw-exchange.ts";
import type { TensorInference } from "../rpc/model-infer.ts";
import type { Caller } from "../serving/inference-path.ts";
import type { Servable } from "../serving/servable.ts";
import type { SystemSharedMemory } from "../shared-memory/system-shared-memory.ts";
import { type AnswerHead, inferAnswer } from "./infer-answer.ts";
import { type InferBody, readInferBody } from "./infer-body.ts";
import { noJsonForm } from "./json-tensor.ts";

/** The model that a path names. */
export interface NamedModel {
  readonly model: string;
  /** Empty where the path has none. */
  readonly version: string;
}

/** Runs a model on the tensors of a body: JSON, or JSON and bytes. */
export const restInfer = (
  inference: TensorInference,
  named: NamedModel,
  body: Uint8Array,
  call: RestCall,
): Promise<RestAnswer> => {
  const request = readInferBody(body, jsonBytes(call));
  return runBody(inference, named, request, body, call, (head, outputs) => inferAnswer(head, outputs, request.binary));
};

/**
 * Runs what a body asks for.
 * @param encode makes the answer of the requested outputs, at once: their data is void afterwards.
 */
export const runBody = async (
  { path, memory }: TensorInference,
  { model, version }: NamedModel,
  request: Pick<InferBody, "id" | "parameters" | "outputs" | "regionBytes" | "binary" | "tensors">,
  body: Uint8Array,
  call: RestCall,
  encode: (head: AnswerHead, outputs: readonly PresentedOutput[]) => RestAnswer,
): Promise<RestAnswer> => {
  const { priority, queueTimeoutMs, outputs: requested } = readParameters(request);
  const caller: Caller = {
    signal: call.signal,
    traceId: () => call.traceId,
    priority,
    queueTimeoutMs,
    header: (name) => call.header(name),
    parameter: (name) => parameterText(request.parameters, name),
  };
  const exchange = new RawExchange({
    contentType: call.header("content-type") ?? "application/json",
    bytes: body,
    jsonBytes: call.header(jsonBytesHeader),
  });
  const answer = await path.run(
    {
      model,
      version,
      id: request.id,
      messageBytes: body.byteLength + request.regionBytes,
      tensors: (served) => tensorsOf(request, served, memory),
      outputs: requested.map(({ name }) => name),
      caller,
      exchange,
    },
    (served, outputs) =>
      encode(
        { modelName: model, modelVersion: served.version, id: request.id },
        presentOutputs(served, outputs, requested, memory),
      ),
  );
  exchange.answer(answer.type, answer.body, answer.headers?.[jsonBytesHeader]);
  return answer;
};

const jsonBytesHeader = "inference-header-content-length";

/** The tensors of a request, once it is known that each of its outputs has the form that is asked for. */
const tensorsOf = (
  { outputs, binary, tensors }: Pick<InferBody, "outputs" | "binary" | "tensors">,
  served: Servable,
  memory: SystemSharedMemory | undefined,
): readonly Tensor[] => {
  for (const [place, { name, datatype }] of served.outputs.entries()) {
    const index = outputs.length === 0 ? place : outputs.findIndex((output) => output.name === name);
    if (datatype !== "FP16" || index < 0 || binary(index)) continue;
    if (outputs[index]?.parameters.shared_memory_region === undefined) throw noJsonForm(`outputs.${name}`);
  }
  return tensors(served, memory);
};

/** Where the JSON of the body ends; undefined where the caller does not say. @throws BodyInvalidError */
const jsonBytes = (call: RestCall): number | undefined => {
  const header = call.header(jsonBytesHeader);
  if (header === undefined) return undefined;
  const bytes = Number(header);
  if (/^\d+$/.test(header) && Number.isSafeInteger(bytes)) return bytes;
  throw new BodyInvalidError("Inference-Header-Content-Length", "a number of bytes", JSON.stringify(header));
};

const parameterText = (parameters: Parameters, name: string): string | undefined => {
  const value: ParameterValue["value"] = parameters[name]?.parameterChoice.value;
  return value === undefined ? undefined : String(value);
};
