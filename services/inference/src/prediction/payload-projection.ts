import { decodeStrings, elementCount, type Tensor, toNumbers, typedView } from "@millrace/tensor";

/**
 * Tensors in the protocol's JSON form, for events of calls that had no JSON. Numbers of FP16 are written out, though the
 * protocol has no JSON form for them; not-a-number is null and infinities are 1e999, since JSON has no words for them.
 * @param kind what the tensors are of a call.
 */
export const projectedPayload = (
  kind: "inputs" | "outputs",
  { model, version, id }: { readonly model: string; readonly version: string; readonly id: string },
  tensors: readonly Tensor[],
): Uint8Array => {
  const described = tensors.map(
    (tensor) =>
      `{"name":${JSON.stringify(tensor.name)},"shape":[${tensor.shape.join(",")}],` +
      `"datatype":"${tensor.datatype}","data":${elementsJson(tensor)}}`,
  );
  const head = kind === "inputs" ? {} : { model_name: model, model_version: version };
  const fields = Object.entries({ ...head, ...(id === "" ? {} : { id }) }).map(
    ([name, value]) => `"${name}":${JSON.stringify(value)},`,
  );
  return Buffer.from(`{${fields.join("")}"${kind}":[${described.join(",")}]}`);
};

const elementsJson = ({ name, datatype, shape, data }: Tensor): string => {
  switch (datatype) {
    case "BYTES":
      return JSON.stringify(decodeStrings(name, data, elementCount(shape)));
    case "BOOL":
      return `[${Array.from(data, (byte) => byte !== 0).join(",")}]`;
    case "FP16":
    case "FP64":
      return `[${Array.from(toNumbers(datatype, data), numberJson).join(",")}]`;
    case "FP32":
      return `[${Array.from(typedView(datatype, data) as Float32Array, numberJson).join(",")}]`;
    default:
      return `[${typedView(datatype, data).join(",")}]`;
  }
};

const numberJson = (value: number): string => {
  if (Number.isNaN(value)) return "null";
  if (!Number.isFinite(value)) return value > 0 ? "1e999" : "-1e999";
  return Object.is(value, -0) ? "-0.0" : String(value);
};
