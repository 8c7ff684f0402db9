import { expect, test } from "vitest";
import { Slab } from "./slab.ts";

test("a slab lays ranges apart, each where any datatype can be viewed", () => {
  const slab = new Slab(256);
  slab.clear(3 + 8 + 100, 3);
  const ranges = [3, 8, 100].map((bytes) => slab.lay(bytes));
  for (const [index, range] of ranges.entries()) range.fill(index + 1);
  expect(ranges.map(({ byteOffset }) => byteOffset % 64)).toEqual([0, 0, 0]);
  expect(ranges.map((range) => new Set(range).size)).toEqual([1, 1, 1]);
  expect(ranges.map(({ byteLength }) => byteLength)).toEqual([3, 8, 100]);
});

test("a slab keeps its memory while that is enough, and takes larger memory when a turn needs it", () => {
  const slab = new Slab(1024);
  const { memory } = slab;
  slab.clear(512, 2);
  expect(slab.memory).toBe(memory);
  slab.clear(4096, 2);
  expect(slab.memory).not.toBe(memory);
  expect(slab.lay(4096).byteLength).toBe(4096);
});

test("a range that no room was made for is refused", () => {
  const slab = new Slab(128);
  slab.clear(64, 1);
  slab.lay(64);
  expect(() => slab.lay(128)).toThrow(RangeError);
});
