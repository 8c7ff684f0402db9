import { create, toBinary } from "@bufbuild/protobuf";
import { ModelProtoSchema, TensorProto_DataLocation, TensorProto_DataType } from "@millrace/contracts/onnx/onnx";

/** How many weights the model has: enough that the runtime does not fold them away before it looks for their file. */
export const externalWeights = 1000;

/** A model `y = x * w`, x of shape [rows, 1], whose FP32 weights w of shape [1, 1000] lie in the file `location`. */
export const externalDataModel = (location: string): Uint8Array => {
  const value = (name: string, columns: number) => ({
    name,
    type: {
      value: {
        case: "tensorType" as const,
        value: {
          elemType: TensorProto_DataType.FLOAT,
          shape: {
            dim: [
              { value: { case: "dimParam" as const, value: "rows" } },
              { value: { case: "dimValue" as const, value: BigInt(columns) } },
            ],
          },
        },
      },
    },
  });
  const weights = {
    name: "w",
    dims: [1n, BigInt(externalWeights)],
    dataType: TensorProto_DataType.FLOAT,
    dataLocation: TensorProto_DataLocation.EXTERNAL,
    externalData: [
      { key: "location", value: location },
      { key: "offset", value: "0" },
      { key: "length", value: String(4 * externalWeights) },
    ],
  };
  return toBinary(
    ModelProtoSchema,
    create(ModelProtoSchema, {
      irVersion: 9n,
      opsetImport: [{ domain: "", version: 19n }],
      graph: {
        name: "external",
        node: [{ opType: "Mul", input: ["x", "w"], output: ["y"] }],
        initializer: [weights],
        input: [value("x", 1)],
        output: [value("y", externalWeights)],
      },
    }),
  );
};

/** The bytes of the file with the weights, all of this value. */
export const externalDataFile = (weight: number): Uint8Array =>
  new Uint8Array(new Float32Array(externalWeights).fill(weight).buffer);
