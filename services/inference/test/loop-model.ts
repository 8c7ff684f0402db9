import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import {
  AttributeProto_AttributeType as AttributeType,
  ModelProtoSchema,
  TensorProto_DataType as Onnx,
  type ValueInfoProtoSchema,
} from "@millrace/contracts/onnx/onnx";

const value = (
  name: string,
  elemType: number,
  dims: readonly (bigint | string)[],
): MessageInitShape<typeof ValueInfoProtoSchema> => ({
  name,
  type: {
    value: {
      case: "tensorType",
      value: {
        elemType,
        shape: {
          dim: dims.map((size) => ({
            value:
              typeof size === "string"
                ? { case: "dimParam" as const, value: size }
                : { case: "dimValue" as const, value: size },
          })),
        },
      },
    },
  },
});

/**
 * Counts to `n`, INT64 [1], one step after the other, and answers how far it came, FP32 [1]: a run takes as long as its
 * input says, and with a large number it does not return. Not batched: with `rows`, the name of a free first dimension, it
 * can be told to be, and a batch of several fails.
 */
export const loopModel = (rows: bigint | string = 1n): Uint8Array =>
  toBinary(
    ModelProtoSchema,
    create(ModelProtoSchema, {
      irVersion: 9n,
      opsetImport: [{ domain: "", version: 19n }],
      graph: {
        name: "loop",
        initializer: [
          { name: "true", dataType: Onnx.BOOL, dims: [], rawData: Uint8Array.of(1) },
          { name: "zero", dataType: Onnx.FLOAT, dims: [1n], rawData: new Uint8Array(4) },
          { name: "one", dataType: Onnx.FLOAT, dims: [1n], rawData: new Uint8Array(Float32Array.of(1).buffer) },
        ],
        node: [
          { opType: "Squeeze", input: ["n"], output: ["trips"] },
          {
            opType: "Loop",
            input: ["trips", "true", "zero"],
            output: ["y"],
            attribute: [
              {
                name: "body",
                type: AttributeType.GRAPH,
                g: {
                  name: "body",
                  node: [
                    { opType: "Identity", input: ["condition"], output: ["next"] },
                    { opType: "Add", input: ["before", "one"], output: ["after"] },
                  ],
                  input: [
                    value("step", Onnx.INT64, []),
                    value("condition", Onnx.BOOL, []),
                    value("before", Onnx.FLOAT, [1n]),
                  ],
                  output: [value("next", Onnx.BOOL, []), value("after", Onnx.FLOAT, [1n])],
                },
              },
            ],
          },
        ],
        input: [value("n", Onnx.INT64, [rows])],
        output: [value("y", Onnx.FLOAT, [rows])],
      },
    }),
  );
