import { create, toBinary } from "@bufbuild/protobuf";
import { ModelProtoSchema, TensorProto_DataType as Onnx } from "@millrace/contracts/onnx/onnx";
import type { Datatype } from "../src/datatype.ts";

export const onnxTypes: Readonly<Record<Datatype, number>> = {
  BOOL: Onnx.BOOL,
  UINT8: Onnx.UINT8,
  UINT16: Onnx.UINT16,
  UINT32: Onnx.UINT32,
  UINT64: Onnx.UINT64,
  INT8: Onnx.INT8,
  INT16: Onnx.INT16,
  INT32: Onnx.INT32,
  INT64: Onnx.INT64,
  FP16: Onnx.FLOAT16,
  FP32: Onnx.FLOAT,
  FP64: Onnx.DOUBLE,
  BYTES: Onnx.STRING,
};

/** A model of one node, `y = Identity(x)`, both of shape [rows, 2]: for tests of what carries a tensor. */
export const identityModel = (elementType: number): Uint8Array => {
  const value = (name: string) => ({
    name,
    type: {
      value: {
        case: "tensorType" as const,
        value: {
          elemType: elementType,
          shape: {
            dim: [
              { value: { case: "dimParam" as const, value: "rows" } },
              { value: { case: "dimValue" as const, value: 2n } },
            ],
          },
        },
      },
    },
  });
  return toBinary(
    ModelProtoSchema,
    create(ModelProtoSchema, {
      irVersion: 9n,
      opsetImport: [{ domain: "", version: 19n }],
      graph: {
        name: "identity",
        node: [{ opType: "Identity", input: ["x"], output: ["y"] }],
        input: [value("x")],
        output: [value("y")],
      },
    }),
  );
};
