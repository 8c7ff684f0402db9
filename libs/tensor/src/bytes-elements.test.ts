import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodeBytes, decodeStrings, encodeBytes, encodeStrings } from "./bytes-elements.ts";
import { TensorInvalidError } from "./tensor-invalid-error.ts";

const seed = Number(process.env.MILLRACE_SEED ?? Date.now() % 2 ** 31);

describe("the BYTES layout", () => {
  test("is a 4-byte little-endian length before each element", () => {
    expect([...encodeStrings(["ab", ""])]).toEqual([2, 0, 0, 0, 97, 98, 0, 0, 0, 0]);
  });

  test("gives back any bytes, and any strings without NUL", () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 20 })), (elements) => {
        expect(decodeBytes("x", encodeBytes(elements), elements.length)).toEqual(elements);
      }),
      { seed },
    );
    const text = fc.string({ unit: "binary" }).map((string) => string.replaceAll("\0", ""));
    fc.assert(
      fc.property(fc.array(text), (strings) => {
        expect(decodeStrings("x", encodeStrings(strings), strings.length)).toEqual(strings);
      }),
      { seed },
    );
  });
});

describe("bytes that are no such layout are refused by name", () => {
  test.each<[string, number[], number, RegExp]>([
    ["half a length", [1, 0], 1, /x: expected element 0 to end within the 2 bytes .*half a length prefix/],
    ["a length beyond the end", [9, 0, 0, 0, 97], 1, /got a length of 9 bytes at byte 0/],
    ["a length of four gigabytes", [255, 255, 255, 255], 1, /got a length of 4294967295 bytes/],
    ["too few elements", [0, 0, 0, 0], 2, /x: expected 2 elements, got 1 elements/],
    ["too many elements", [0, 0, 0, 0, 0, 0, 0, 0], 1, /x: expected 1 elements, got 2 elements/],
  ])("%s", (_, bytes, count, message) => {
    expect(() => decodeBytes("x", Uint8Array.from(bytes), count)).toThrow(TensorInvalidError);
    expect(() => decodeBytes("x", Uint8Array.from(bytes), count)).toThrow(message);
  });
});
