import { describe, expect, test } from "vitest";
import { KeyedPermutation } from "./keyed-permutation.ts";

const orderOf = (length: number, seed: bigint, epoch: number): number[] => {
  const permutation = new KeyedPermutation(length, seed, epoch);
  return Array.from({ length }, (_, place) => permutation.at(place));
};

describe("a keyed permutation", () => {
  test.each([1, 2, 3, 7, 64, 1000, 4097])("of %i holds each number once", (length) => {
    expect(orderOf(length, 7n, 0).sort((a, b) => a - b)).toEqual(Array.from({ length }, (_, place) => place));
  });

  test("is the same for the same key, and another for another epoch or seed", () => {
    expect(orderOf(1000, 7n, 3)).toEqual(orderOf(1000, 7n, 3));
    expect(orderOf(1000, 7n, 3)).not.toEqual(orderOf(1000, 7n, 4));
    expect(orderOf(1000, 7n, 3)).not.toEqual(orderOf(1000, 8n, 3));
  });

  test("leaves no trace of the order before: the places of neighbours are uncorrelated", () => {
    const order = orderOf(20_000, 7n, 1);
    const mean = (order.length - 1) / 2;
    let covariance = 0;
    let variance = 0;
    order.forEach((value, place) => {
      covariance += (value - mean) * ((order[place + 1] ?? mean) - mean);
      variance += (value - mean) ** 2;
    });
    expect(Math.abs(covariance / variance)).toBeLessThan(0.03);
  });
});
