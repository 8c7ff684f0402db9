import type { ModelInferResponse } from "@millrace/contracts/inference/grpc_service";
import { bytesOf, type Datatype, isDatatype, type Tensor } from "@millrace/tensor";

/** A raw ModelInferRequest of one FP32 input. */
export const floatRequest = (modelName: string, values: readonly number[], shape: readonly number[], name = "x") => ({
  modelName,
  inputs: [{ name, datatype: "FP32", shape: shape.map(BigInt) }],
  rawInputContents: [bytesOf(Float32Array.from(values))],
});

/** The raw outputs of a response as tensors. */
export const rawOutputs = ({ outputs, rawOutputContents }: ModelInferResponse): Tensor[] =>
  outputs.map(({ name, datatype, shape }, index) => {
    if (!isDatatype(datatype)) throw new TypeError(`${name} has the datatype ${datatype}.`);
    return {
      name,
      datatype: datatype as Datatype,
      shape: shape.map(Number),
      data: rawOutputContents[index] ?? new Uint8Array(),
    };
  });

/** The first raw output of a response as numbers. */
export const floats = (response: ModelInferResponse): number[] => {
  const [data] = response.rawOutputContents;
  return data === undefined ? [] : [...new Float32Array(data.slice().buffer)];
};
