import type { Scalar } from "../compiled.ts";
import {
  distinctEstimate,
  distinctHash,
  mostExact,
  registerCode,
  valuesPerRegister,
} from "../sketch/distinct-sketch.ts";
import type { ByteReader } from "./byte-reader.ts";
import type { ByteWriter } from "./byte-writer.ts";
import type { Partial } from "./partial.ts";

/**
 * The hashes of the different values while they are few, then the registers of a HyperLogLog that are not zero. As soon
 * as some of the values are too many for hashes, all of them are: the same values end in the same form, however they
 * were grouped.
 */
export class DistinctPartial implements Partial {
  readonly #hashes = new Set<number>();
  /** The greatest code by register, once the hashes have become too many. */
  #codes: Map<number, number> | undefined;

  add(value: Exclude<Scalar, null>): void {
    this.#takeHash(distinctHash(value));
  }

  merge(other: Partial): void {
    if (!(other instanceof DistinctPartial)) throw new TypeError("distinct counts merge with distinct counts only");
    if (other.#codes !== undefined) for (const code of other.#codes.values()) this.#takeCode(code);
    for (const hash of other.#hashes) this.#takeHash(hash);
  }

  result(): bigint {
    return this.#codes === undefined ? BigInt(this.#hashes.size) : distinctEstimate(this.#codes.values());
  }

  write(writer: ByteWriter): void {
    const numbers = this.#codes === undefined ? [...this.#hashes] : [...this.#codes.values()];
    writer.varint(numbers.length * 2 + (this.#codes === undefined ? 0 : 1));
    let before = 0;
    for (const number of numbers.sort((a, b) => a - b)) {
      writer.varint(number - before);
      before = number;
    }
  }

  static read(reader: ByteReader): DistinctPartial {
    const partial = new DistinctPartial();
    const head = reader.varint();
    let number = 0;
    for (let count = Math.floor(head / 2); count > 0; count--) {
      number += reader.varint();
      if (head % 2 === 1) partial.#takeCode(number);
      else partial.#takeHash(number);
    }
    return partial;
  }

  #takeHash(hash: number): void {
    if (this.#codes !== undefined) {
      this.#takeCode(registerCode(hash));
      return;
    }
    this.#hashes.add(hash);
    if (this.#hashes.size > mostExact) this.#useRegisters();
  }

  #takeCode(code: number): void {
    const codes = this.#useRegisters();
    const register = Math.floor(code / valuesPerRegister);
    if (code > (codes.get(register) ?? -1)) codes.set(register, code);
  }

  #useRegisters(): Map<number, number> {
    if (this.#codes !== undefined) return this.#codes;
    this.#codes = new Map();
    const hashes = [...this.#hashes];
    this.#hashes.clear();
    for (const hash of hashes) this.#takeCode(registerCode(hash));
    return this.#codes;
  }
}
