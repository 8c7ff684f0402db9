import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { ModelProtoSchema, TensorProto_DataType as Onnx, type TypeProtoSchema } from "@millrace/contracts/onnx/onnx";

const tensorType: MessageInitShape<typeof TypeProtoSchema> = {
  value: {
    case: "tensorType",
    value: { elemType: Onnx.FLOAT, shape: { dim: [{ value: { case: "dimParam", value: "rows" } }] } },
  },
};

const oneNode = (opType: string, output: string, type: MessageInitShape<typeof TypeProtoSchema>): Uint8Array =>
  toBinary(
    ModelProtoSchema,
    create(ModelProtoSchema, {
      irVersion: 9n,
      opsetImport: [{ domain: "", version: 19n }],
      graph: {
        name: opType,
        node: [{ opType, input: ["x"], output: [output] }],
        input: [{ name: "x", type: tensorType }],
        output: [{ name: output, type }],
      },
    }),
  );

/** Gives a sequence of its input. */
export const sequenceModel = (): Uint8Array =>
  oneNode("SequenceConstruct", "s", { value: { case: "sequenceType", value: { elemType: tensorType } } });

/** Gives an optional of its input. */
export const optionalModel = (): Uint8Array =>
  oneNode("Optional", "o", { value: { case: "optionalType", value: { elemType: tensorType } } });
