import { isUtf8 } from "node:buffer";
import { TensorInvalidError } from "./tensor-invalid-error.ts";

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const utf8Bytes = new TextEncoder();

/** Lays byte strings out as a BYTES tensor: each a 4-byte little-endian length and then its bytes. */
export const encodeBytes = (elements: readonly Uint8Array[]): Uint8Array => {
  let length = 0;
  for (const element of elements) length += 4 + element.length;
  const data = new Uint8Array(length);
  const view = new DataView(data.buffer);
  let at = 0;
  for (const element of elements) {
    view.setUint32(at, element.length, true);
    data.set(element, at + 4);
    at += 4 + element.length;
  }
  return data;
};

/** Lays strings out as a BYTES tensor, in UTF-8. */
export const encodeStrings = (strings: readonly string[]): Uint8Array =>
  encodeBytes(strings.map((string) => utf8Bytes.encode(string)));

/**
 * Reads the elements of a BYTES tensor as views of its data.
 * @param name the tensor's name, for the error. @param count the elements that the shape asks for.
 * @throws TensorInvalidError when the lengths do not add up to the data, or to the count.
 */
export const decodeBytes = (name: string, data: Uint8Array, count: number): Uint8Array[] => {
  const elements: Uint8Array[] = [];
  eachElement(name, data, count, (from, to) => elements.push(data.subarray(from, to)));
  return elements;
};

/**
 * Reads a BYTES tensor as strings, for a model whose input is of strings.
 * @throws TensorInvalidError as `checkText` does.
 */
export const decodeStrings = (name: string, data: Uint8Array, count: number): string[] => {
  // TextDecoder refuses views of shared memory, so that they are copied out once, whole.
  const own = data.buffer instanceof SharedArrayBuffer ? data.slice() : data;
  const strings: string[] = [];
  checkText(name, own, count, (from, to) => strings.push(utf8.decode(own.subarray(from, to))));
  return strings;
};

/**
 * Checks that a BYTES tensor is text that a model can be given whole: onnxruntime-node cuts a string at a NUL and
 * replaces what is not UTF-8, so that both are refused rather than changed.
 * @throws TensorInvalidError naming the tensor and the element.
 */
export const checkText = (
  name: string,
  data: Uint8Array,
  count: number,
  onElement?: (from: number, to: number) => void,
): void => {
  let index = 0;
  eachElement(name, data, count, (from, to) => {
    let ascii = true;
    for (let at = from; at < to; at++) {
      const byte = data[at] ?? 0;
      if (byte === 0) {
        throw new TensorInvalidError({
          field: `${name}[${index}]`,
          expected: "text without NUL, which the model would be given cut off",
          got: `a NUL at byte ${at - from}`,
        });
      }
      if (byte > 127) ascii = false;
    }
    if (!ascii && !isUtf8(data.slice(from, to))) {
      throw new TensorInvalidError({
        field: `${name}[${index}]`,
        expected: "text in UTF-8",
        got: "bytes that are not UTF-8",
      });
    }
    onElement?.(from, to);
    index++;
  });
};

/** Calls with the bounds of each element's bytes. The one place that knows the layout when reading. */
const eachElement = (
  name: string,
  data: Uint8Array,
  count: number,
  onElement: (from: number, to: number) => void,
): void => {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  let at = 0;
  let index = 0;
  while (at < data.length) {
    const from = at + 4;
    const to = from <= data.length ? from + view.getUint32(at, true) : Number.POSITIVE_INFINITY;
    if (to > data.length) {
      throw new TensorInvalidError({
        field: name,
        expected: `element ${index} to end within the ${data.length} bytes of the tensor`,
        got: from > data.length ? "half a length prefix" : `a length of ${to - from} bytes at byte ${at}`,
      });
    }
    if (index < count) onElement(from, to);
    index++;
    at = to;
  }
  if (index !== count) {
    throw new TensorInvalidError({ field: name, expected: `${count} elements`, got: `${index} elements` });
  }
};
