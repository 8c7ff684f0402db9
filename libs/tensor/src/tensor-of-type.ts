import { fromBinary } from "@bufbuild/protobuf";
import { ModelProtoSchema, type ValueInfoProto } from "@millrace/contracts/onnx/onnx";

/** Names the first input or output of a model that has a datatype which the runtime's binding does not know. */
export const tensorOfType = (model: Uint8Array, elemType: number): string => {
  const { graph } = fromBinary(ModelProtoSchema, model);
  const find = (values: readonly ValueInfoProto[] = []) =>
    values.find(({ type }) => type?.value.case === "tensorType" && type.value.value.elemType === elemType);
  const input = find(graph?.input);
  if (input !== undefined) return `The input ${input.name}`;
  const output = find(graph?.output);
  return output === undefined ? "An input or output" : `The output ${output.name}`;
};
