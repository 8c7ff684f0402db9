import { describe, type JsonValue, notFinite } from "@millrace/rest";
import {
  byteCount,
  type Datatype,
  decodeStrings,
  elementCount,
  encodeStrings,
  shapeText,
  type Tensor,
  TensorInvalidError,
  typedView,
} from "@millrace/tensor";

/**
 * Lays the `data` of an input out as the bytes of a tensor: an array of all elements in row-major order, or arrays within
 * arrays as the shape has them. BOOL is true or false, BYTES is text; FP16 has no form in JSON.
 * @throws TensorInvalidError naming the input, or the element that does not fit.
 */
export const tensorFromJson = (head: Omit<Tensor, "data">, data: JsonValue): Tensor => {
  const { name, datatype, shape } = head;
  if (datatype === "FP16") throw noJsonForm(`${name}.data`);
  const field = `${name}.data`;
  if (!isArray(data)) throw new TensorInvalidError({ field, expected: "an array", got: describe(data) });
  const nested = shape.length > 1 && isArray(data[0]);
  if (nested) checkNesting(field, data, shape, 0);
  else if (data.length !== elementCount(shape)) {
    throw new TensorInvalidError({
      field,
      expected: `${elementCount(shape)} elements (${datatype} ${shapeText(shape)})`,
      got: `${data.length}`,
    });
  }
  const elements: readonly unknown[] = nested ? (data as readonly unknown[]).flat((shape.length - 1) as 1) : data;
  if (datatype === "BYTES") {
    return {
      ...head,
      data: encodeStrings(elements.map((element, index) => textOf(field, element as JsonValue, index))),
    };
  }
  // Its size is known to be right by now: nothing was allocated for what a shape only claims.
  const bytes = new Uint8Array(byteCount(datatype, shape));
  const view = typedView(datatype, bytes);
  const read = readers[datatype];
  for (let index = 0; index < elements.length; index++) {
    const element = elements[index] as JsonValue;
    const value = read(element);
    if (value === undefined) throw misfit(field, index, datatype, element);
    view[index] = value as never;
  }
  return { ...head, data: bytes };
};

/**
 * The elements of a tensor as a JSON array, flat.
 * @throws TensorInvalidError for FP16, which has no form in JSON.
 */
export const tensorToJson = ({ name, datatype, shape, data }: Tensor): string => {
  if (datatype === "FP16") throw noJsonForm(`outputs.${name}`);
  if (datatype === "BYTES") return JSON.stringify(decodeStrings(name, data, elementCount(shape)));
  const view = typedView(datatype, data);
  if (datatype === "BOOL") return JSON.stringify(Array.from(view as Uint8Array, (byte) => byte !== 0));
  // Twice as fast as joining; it has no word for what is not finite.
  if (view instanceof Float32Array || view instanceof Float64Array) {
    return view.every(Number.isFinite) ? JSON.stringify(Array.from(view)) : `[${view.join(",")}]`;
  }
  return `[${view.join(",")}]`;
};

/** FP16 travels as bytes alone. */
export const noJsonForm = (field: string): TensorInvalidError =>
  new TensorInvalidError({ field, expected: "binary data, the only form of FP16", got: "JSON" });

const isArray = (value: JsonValue | undefined): value is readonly JsonValue[] => Array.isArray(value);

/** Whether arrays within arrays are as long as the dimensions say. */
const checkNesting = (field: string, value: JsonValue | undefined, shape: readonly number[], axis: number): void => {
  if (!isArray(value) || value.length !== shape[axis]) {
    throw new TensorInvalidError({
      field,
      expected: `an array of ${shape[axis]} at depth ${axis} (${shapeText(shape)})`,
      got: describe(value),
    });
  }
  if (axis + 1 < shape.length) for (const each of value) checkNesting(field, each, shape, axis + 1);
};

const textOf = (field: string, element: JsonValue, index: number): string => {
  if (typeof element === "string" && element.isWellFormed()) return element;
  throw misfit(field, index, "BYTES", element);
};

const misfit = (field: string, index: number, datatype: Datatype, element: JsonValue): TensorInvalidError =>
  new TensorInvalidError({ field: `${field}[${index}]`, expected: forms[datatype], got: describe(element) });

type Read = (element: JsonValue) => number | bigint | undefined;

const whole =
  (low: number, high: number): Read =>
  (element) =>
    typeof element === "number" && Number.isInteger(element) && element >= low && element <= high ? element : undefined;

const whole64 =
  (low: bigint, high: bigint): Read =>
  (element) => {
    const value =
      typeof element === "bigint" ? element : Number.isSafeInteger(element) ? BigInt(element as number) : undefined;
    return value !== undefined && value >= low && value <= high ? value : undefined;
  };

const fraction =
  (round: (value: number) => number): Read =>
  (element) => {
    if (typeof element !== "number" && typeof element !== "bigint") return notFinite(element);
    const value = round(Number(element));
    return Number.isFinite(value) ? value : undefined;
  };

const readers: Readonly<Record<Exclude<Datatype, "BYTES" | "FP16">, Read>> = {
  BOOL: (element) => (typeof element === "boolean" ? Number(element) : undefined),
  UINT8: whole(0, 0xff),
  UINT16: whole(0, 0xffff),
  UINT32: whole(0, 0xffff_ffff),
  UINT64: whole64(0n, 2n ** 64n - 1n),
  INT8: whole(-0x80, 0x7f),
  INT16: whole(-0x8000, 0x7fff),
  INT32: whole(-0x8000_0000, 0x7fff_ffff),
  INT64: whole64(-(2n ** 63n), 2n ** 63n - 1n),
  FP32: fraction(Math.fround),
  FP64: fraction((value) => value),
};

const forms: Readonly<Record<Datatype, string>> = {
  BOOL: "true or false",
  UINT8: "a whole number of 8 bits without sign",
  UINT16: "a whole number of 16 bits without sign",
  UINT32: "a whole number of 32 bits without sign",
  UINT64: "a whole number of 64 bits without sign, in digits",
  INT8: "a whole number of 8 bits",
  INT16: "a whole number of 16 bits",
  INT32: "a whole number of 32 bits",
  INT64: "a whole number of 64 bits, in digits",
  FP16: "binary data",
  FP32: "a number that fits FP32",
  FP64: "a number that fits FP64",
  BYTES: "well-formed text",
};
