import { create, toBinary } from "@bufbuild/protobuf";
import { ModelInferRequestSchema } from "@millrace/contracts/inference/grpc_service";

/** The path of the call that every server of the protocol answers. */
export const modelInferPath = "/inference.GRPCInferenceService/ModelInfer";

/** The bytes of a request with one raw FP32 input `x` of this shape. */
export const inferRequest = (modelName: string, shape: readonly number[]): Buffer => {
  const length = shape.reduce((product, dimension) => product * dimension, 1);
  const values = Float32Array.from({ length }, (_, index) => Math.sin(index));
  return Buffer.from(
    toBinary(
      ModelInferRequestSchema,
      create(ModelInferRequestSchema, {
        modelName,
        inputs: [{ name: "x", datatype: "FP32", shape: shape.map(BigInt) }],
        rawInputContents: [new Uint8Array(values.buffer)],
      }),
    ),
  );
};
