import { describe, expect, test } from "vitest";
import { murmur2, partitionOfKey } from "./murmur2.ts";

describe("murmur2", () => {
  // Reference values of Kafka's own UtilsTest.
  test.each([
    ["21", -973932308],
    ["foobar", -790332482],
    ["a-little-bit-long-string", -985981536],
    ["a-little-bit-longer-string", -1486304829],
    ["lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971],
  ])("of %j is what Kafka's client computes", (text, hash) => {
    expect(murmur2(Buffer.from(text))).toBe(hash);
  });

  test("gives partitions that are never negative", () => {
    for (let i = 0; i < 1000; i++) {
      const partition = partitionOfKey(Buffer.from(`key-${i}`), 7);
      expect(partition).toBeGreaterThanOrEqual(0);
      expect(partition).toBeLessThan(7);
    }
  });
});
