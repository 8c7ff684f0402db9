import { bytesOf, type Tensor } from "@millrace/tensor";
import { describe, expect, test } from "vitest";
import { ResponseCache } from "./response-cache.ts";

const tensor = (values: number[], change: Partial<Tensor> = {}): Tensor => ({
  name: "x",
  datatype: "FP32",
  shape: [values.length],
  data: bytesOf(Float32Array.from(values)),
  ...change,
});

describe("a key", () => {
  const { keyOf } = ResponseCache.prototype;

  test("is equal for equal inputs, at any place in memory", () => {
    const moved = new Uint8Array(13).subarray(5);
    moved.set(tensor([1, 2]).data);
    expect(keyOf([tensor([1, 2], { data: moved })])).toBe(keyOf([tensor([1, 2])]));
  });

  test("differs by name, datatype, shape, bytes, and by which input has which", () => {
    const keys = [
      [tensor([1, 2])],
      [tensor([1, 2], { name: "y" })],
      [tensor([1, 2], { datatype: "INT32" })],
      [tensor([1, 2], { shape: [2, 1] })],
      [tensor([2, 1])],
      [tensor([1]), tensor([2])],
      [tensor([2]), tensor([1])],
    ].map(keyOf);
    expect(new Set(keys).size).toBe(keys.length);
  });
});

describe("what is kept", () => {
  test("is a copy", () => {
    const cache = new ResponseCache({ maxBytes: 1 << 20, timeToLiveMs: undefined });
    const output = tensor([1]);
    cache.set("a", [output]);
    output.data.fill(0);
    expect(cache.get("a")).toEqual([tensor([1])]);
  });

  test("stays within its bytes: the least recently used go", () => {
    const cache = new ResponseCache({ maxBytes: 3000, timeToLiveMs: undefined });
    const large = tensor(Array.from({ length: 200 }, () => 1));
    cache.set("a", [large]);
    cache.set("b", [large]);
    cache.get("a");
    cache.set("c", [large]);
    expect([cache.get("a"), cache.get("b"), cache.get("c")].map((kept) => kept !== undefined)).toEqual([
      true,
      false,
      true,
    ]);
    expect(cache.bytes).toBeLessThanOrEqual(3000);
    cache.set("d", [tensor(Array.from({ length: 2000 }, () => 1))]);
    expect(cache.get("d")).toBeUndefined();
  });

  test.each([0.5, 66_000.00000000001])("may be so for a fraction of ms: %d", (timeToLiveMs) => {
    const cache = new ResponseCache({ maxBytes: 3000, timeToLiveMs });
    cache.set("a", [tensor([1])]);
    expect(cache.bytes).toBeGreaterThan(0);
  });

  test("is forgotten after its time", async () => {
    const cache = new ResponseCache({ maxBytes: 3000, timeToLiveMs: 5 });
    cache.set("a", [tensor([1])]);
    expect(cache.get("a")).toBeDefined();
    while (cache.get("a") !== undefined) await new Promise((resolve) => setTimeout(resolve, 5));
  });
});
