import type { InferTensorContents } from "@millrace/contracts/inference/grpc_service";
import { decodeBytes, encodeBytes } from "./bytes-elements.ts";
import { shapeText } from "./check-tensor.ts";
import type { Datatype } from "./datatype.ts";
import { byteCount, elementCount, type Tensor } from "./tensor.ts";
import { TensorInvalidError } from "./tensor-invalid-error.ts";
import { typedView } from "./typed-view.ts";

/** The repeated fields of `InferTensorContents`, without the message around them. */
export type TypedContents = Partial<Omit<InferTensorContents, "$typeName" | "$unknown">>;
type ContentsField = keyof TypedContents;

/** The field that carries each datatype. FP16 has none: it travels raw. */
const fields: Readonly<Record<Exclude<Datatype, "FP16">, ContentsField>> = {
  BOOL: "boolContents",
  UINT8: "uintContents",
  UINT16: "uintContents",
  UINT32: "uintContents",
  UINT64: "uint64Contents",
  INT8: "intContents",
  INT16: "intContents",
  INT32: "intContents",
  INT64: "int64Contents",
  FP32: "fp32Contents",
  FP64: "fp64Contents",
  BYTES: "bytesContents",
};

/** The bounds of the datatypes that share a wider field. */
const bounds: Partial<Record<Datatype, readonly [number, number]>> = {
  UINT8: [0, 0xff],
  UINT16: [0, 0xffff],
  INT8: [-0x80, 0x7f],
  INT16: [-0x8000, 0x7fff],
};

/** Whether a datatype can travel in typed contents. */
export const hasTypedForm = (datatype: Datatype): boolean => datatype !== "FP16";

/**
 * Lays the typed contents of an input out as the bytes of a tensor.
 * @throws TensorInvalidError where the datatype has no typed form, where values stand in the field of another datatype,
 *   where their number is not that of the shape, or where one does not fit the datatype.
 */
export const fromTypedContents = (
  name: string,
  datatype: Datatype,
  shape: readonly number[],
  contents: TypedContents,
): Tensor => {
  if (datatype === "FP16") {
    throw new TensorInvalidError({
      field: `${name}.contents`,
      expected: "raw_input_contents, the only form of FP16",
      got: "typed contents",
    });
  }
  const field = fields[datatype];
  for (const other of new Set(Object.values(fields))) {
    const values = contents[other];
    if (other !== field && values !== undefined && values.length > 0) {
      throw new TensorInvalidError({
        field: `${name}.contents`,
        expected: `${wireName(field)} (${datatype})`,
        got: `${values.length} values in ${wireName(other)}`,
      });
    }
  }
  const values = contents[field] ?? [];
  const count = elementCount(shape);
  if (values.length !== count) {
    throw new TensorInvalidError({
      field: `${name}.contents`,
      expected: `${count} values (${datatype} ${shapeText(shape)})`,
      got: `${values.length} values`,
    });
  }
  if (datatype === "BYTES") return { name, datatype, shape, data: encodeBytes(values as readonly Uint8Array[]) };
  checkBounds(name, datatype, values);
  const data = new Uint8Array(byteCount(datatype, shape));
  typedView(datatype, data).set(values as never);
  return { name, datatype, shape, data };
};

/** The typed contents of a tensor; undefined for FP16, which has none. */
export const toTypedContents = (tensor: Tensor): TypedContents | undefined => {
  const { datatype, data, shape, name } = tensor;
  if (datatype === "FP16") return undefined;
  if (datatype === "BYTES") return { bytesContents: decodeBytes(name, data, elementCount(shape)) };
  const view = typedView(datatype, data);
  if (datatype === "BOOL") return { boolContents: Array.from(view as Uint8Array, (byte) => byte !== 0) };
  return { [fields[datatype]]: Array.from<number | bigint>(view as ArrayLike<number | bigint>) };
};

const checkBounds = (name: string, datatype: Datatype, values: readonly unknown[]): void => {
  const [low, high] = bounds[datatype] ?? [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY];
  const index = values.findIndex((value) => typeof value === "number" && (value < low || value > high));
  if (index >= 0) {
    throw new TensorInvalidError({
      field: `${name}.contents[${index}]`,
      expected: `${datatype}, which is ${low} to ${high}`,
      got: String(values[index]),
    });
  }
};

const wireName = (field: ContentsField): string => field.replace("Contents", "_contents");
