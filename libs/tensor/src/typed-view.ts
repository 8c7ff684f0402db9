import { type Datatype, elementBytes } from "./datatype.ts";

/** The typed array in which each datatype is read. FP16 is read as its bits. BYTES has none: see `decodeBytes`. */
export type TypedView =
  | Uint8Array
  | Uint16Array
  | Uint32Array
  | BigUint64Array
  | Int8Array
  | Int16Array
  | Int32Array
  | BigInt64Array
  | Float32Array
  | Float64Array;

/**
 * A tensor's data as a typed array: a view where the bytes are aligned, a copy where they are not. gRPC hands messages
 * over at odd offsets, so that neither is the exception.
 */
export const typedView = (datatype: Exclude<Datatype, "BYTES">, data: Uint8Array): TypedView => {
  const size = elementBytes[datatype];
  // Not data.slice(): a Buffer's gives a view.
  const aligned = data.byteOffset % size === 0 ? data : new Uint8Array(data);
  const { buffer, byteOffset } = aligned;
  const length = data.byteLength / size;
  switch (datatype) {
    case "BOOL":
    case "UINT8":
      return new Uint8Array(buffer, byteOffset, length);
    case "UINT16":
    case "FP16":
      return new Uint16Array(buffer, byteOffset, length);
    case "UINT32":
      return new Uint32Array(buffer, byteOffset, length);
    case "UINT64":
      return new BigUint64Array(buffer, byteOffset, length);
    case "INT8":
      return new Int8Array(buffer, byteOffset, length);
    case "INT16":
      return new Int16Array(buffer, byteOffset, length);
    case "INT32":
      return new Int32Array(buffer, byteOffset, length);
    case "INT64":
      return new BigInt64Array(buffer, byteOffset, length);
    case "FP32":
      return new Float32Array(buffer, byteOffset, length);
    case "FP64":
      return new Float64Array(buffer, byteOffset, length);
  }
};

/** The bytes of a typed array, without a copy. */
export const bytesOf = (values: ArrayBufferView): Uint8Array =>
  new Uint8Array(values.buffer, values.byteOffset, values.byteLength);

/** Half-precision bits as a number (IEEE 754 binary16). */
export const halfToNumber = (bits: number): number => {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 0x1f) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
};

/** A numeric tensor's elements as doubles. INT64 and UINT64 beyond 2^53 are rounded. */
export const toNumbers = (datatype: Exclude<Datatype, "BYTES">, data: Uint8Array): Float64Array => {
  const view = typedView(datatype, data);
  if (datatype === "FP16") return Float64Array.from(view as Uint16Array, halfToNumber);
  return Float64Array.from(view as ArrayLike<number | bigint>, Number);
};
