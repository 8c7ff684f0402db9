import { create, toBinary } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { type ModelInferResponse, ModelInferResponseSchema } from "@millrace/contracts/inference/grpc_service";
import { hasTypedForm, type Tensor, toTypedContents } from "@millrace/tensor";

/** What a response says beside its tensors. */
export interface ResponseHead {
  readonly modelName: string;
  readonly modelVersion: string;
  readonly id: string;
  /** Whether the request's tensors came in typed contents. */
  readonly typed: boolean;
  /** Whether this is a response on a stream, which says that it is the last of its request. */
  readonly streamed?: boolean;
}

/**
 * A response on the wire. Its tensors are typed only for a request that was typed, and where each has a typed form; else
 * raw, as the protocol's clients read them. The outputs' data is copied once, into the message.
 */
export const encodeInferResponse = (head: ResponseHead, outputs: readonly Tensor[]): Uint8Array =>
  head.typed && outputs.every(({ datatype }) => hasTypedForm(datatype))
    ? toBinary(ModelInferResponseSchema, typedResponse(head, outputs))
    : encodeRaw(head, outputs);

/** The parameter that every response on a stream has. */
export const finalResponse = {
  triton_final_response: { parameterChoice: { case: "boolParam" as const, value: true } },
};

const typedResponse = (head: ResponseHead, outputs: readonly Tensor[]): ModelInferResponse =>
  create(ModelInferResponseSchema, {
    modelName: head.modelName,
    modelVersion: head.modelVersion,
    id: head.id,
    parameters: head.streamed === true ? finalResponse : {},
    outputs: outputs.map((output) => ({
      name: output.name,
      datatype: output.datatype,
      shape: output.shape.map(BigInt),
      contents: toTypedContents(output) ?? {},
    })),
  });

/** The general codec walks descriptors for every field; these few are written by hand, to the same bytes. */
const encodeRaw = ({ modelName, modelVersion, id, streamed }: ResponseHead, outputs: readonly Tensor[]): Uint8Array => {
  const writer = new BinaryWriter();
  writer.tag(1, WireType.LengthDelimited).string(modelName);
  if (modelVersion !== "") writer.tag(2, WireType.LengthDelimited).string(modelVersion);
  if (id !== "") writer.tag(3, WireType.LengthDelimited).string(id);
  if (streamed === true) {
    writer.tag(4, WireType.LengthDelimited).fork().tag(1, WireType.LengthDelimited).string("triton_final_response");
    writer.tag(2, WireType.LengthDelimited).fork().tag(1, WireType.Varint).bool(true).join().join();
  }
  for (const { name, datatype, shape } of outputs) {
    writer.tag(5, WireType.LengthDelimited).fork();
    writer.tag(1, WireType.LengthDelimited).string(name);
    writer.tag(2, WireType.LengthDelimited).string(datatype);
    if (shape.length > 0) {
      writer.tag(3, WireType.LengthDelimited).fork();
      for (const dimension of shape) writer.int64(dimension);
      writer.join();
    }
    writer.join();
  }
  for (const { data } of outputs) writer.tag(6, WireType.LengthDelimited).bytes(data);
  return writer.finish();
};
