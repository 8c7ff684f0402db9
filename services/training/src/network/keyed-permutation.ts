import { deriveSeed } from "../derive-seed.ts";

const rounds = 6;

/**
 * An order of the numbers below `length` that is computed, not stored: a Feistel network over the next even number of
 * bits, walked until it lands inside (Black and Rogaway 2002). Each key gives another order.
 */
export class KeyedPermutation {
  readonly #length: number;
  readonly #halfBits: number;
  readonly #keys: Uint32Array;

  /** @param length 1 to 2^32. @param tags name the order, such as the epoch. */
  constructor(length: number, seed: bigint, ...tags: readonly number[]) {
    this.#length = length;
    this.#halfBits = Math.max(1, Math.ceil(Math.log2(length) / 2));
    this.#keys = Uint32Array.from({ length: rounds }, (_, round) => deriveSeed(seed, ...tags, round));
  }

  /** The number at a place; both from 0 to below the length. */
  at(place: number): number {
    const bits = this.#halfBits;
    const mask = 2 ** bits - 1;
    let value = place;
    do {
      let left = Math.floor(value / (mask + 1));
      let right = value & mask;
      for (let round = 0; round < rounds; round++) {
        let mixed = Math.imul(right ^ (this.#keys[round] as number), 0x85eb_ca6b);
        mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2_ae35);
        const next = (left ^ mixed ^ (mixed >>> 16)) & mask;
        left = right;
        right = next;
      }
      value = left * (mask + 1) + right;
    } while (value >= this.#length);
    return value;
  }
}
