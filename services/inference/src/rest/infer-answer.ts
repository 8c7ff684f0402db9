import { RawJson, type RestAnswer, type WritableJson, writeJson } from "@millrace/rest";
import { placeParameters } from "../protocol/infer-response.ts";
import type { PresentedOutput } from "../protocol/present-outputs.ts";
import { tensorToJson } from "./json-tensor.ts";

/** What an answer says beside its tensors. */
export interface AnswerHead {
  readonly modelName: string;
  readonly modelVersion: string;
  readonly id: string;
}

/**
 * An answer to a request for inference: JSON, and behind it the bytes of those outputs that are asked for as such. The
 * outputs' data is copied into it.
 * @param binary whether an output is answered as bytes, by its place.
 * @throws TensorInvalidError where an output of FP16 is asked for in JSON.
 */
export const inferAnswer = (
  head: AnswerHead,
  outputs: readonly PresentedOutput[],
  binary: (output: number) => boolean,
): RestAnswer => {
  const parts: Uint8Array[] = [];
  const described = outputs.map((output, index): WritableJson => {
    const { name, datatype, shape, data, place } = output;
    if (place !== undefined) {
      const parameters = Object.entries(placeParameters(place)).map(
        ([key, { parameterChoice }]): [string, WritableJson] => [key, parameterChoice.value],
      );
      return { name, datatype, shape, parameters: Object.fromEntries(parameters) };
    }
    if (!binary(index)) return { name, datatype, shape, data: new RawJson(tensorToJson(output)) };
    parts.push(data);
    return { name, datatype, shape, parameters: { binary_data_size: data.byteLength } };
  });
  const json = writeJson({
    id: head.id === "" ? undefined : head.id,
    model_name: head.modelName,
    model_version: head.modelVersion,
    outputs: described,
  });
  if (!outputs.some(({ place }, index) => place === undefined && binary(index))) {
    return { status: 200, type: "application/json", body: json };
  }
  const text = Buffer.from(json);
  return {
    status: 200,
    type: "application/octet-stream",
    headers: { "inference-header-content-length": String(text.byteLength) },
    body: Buffer.concat([text, ...parts]),
  };
};
