import type { Scalar } from "../compiled.ts";
import { distinctCode, distinctEstimate, valuesPerRegister } from "../sketch/distinct-sketch.ts";
import type { ByteReader } from "./byte-reader.ts";
import type { ByteWriter } from "./byte-writer.ts";
import type { Partial } from "./partial.ts";

/** The registers of a HyperLogLog that are not zero: see the sketch. */
export class DistinctPartial implements Partial {
  /** The greatest code, by register. */
  readonly #codes = new Map<number, number>();

  add(value: Exclude<Scalar, null>): void {
    this.#take(distinctCode(value));
  }

  merge(other: Partial): void {
    if (!(other instanceof DistinctPartial)) throw new TypeError("distinct counts merge with distinct counts only");
    for (const code of other.#codes.values()) this.#take(code);
  }

  result(): bigint {
    return distinctEstimate(this.#codes.values());
  }

  write(writer: ByteWriter): void {
    writer.varint(this.#codes.size);
    let before = 0;
    for (const code of [...this.#codes.values()].sort((a, b) => a - b)) {
      writer.varint(code - before);
      before = code;
    }
  }

  static read(reader: ByteReader): DistinctPartial {
    const partial = new DistinctPartial();
    let code = 0;
    for (let count = reader.varint(); count > 0; count--) {
      code += reader.varint();
      partial.#take(code);
    }
    return partial;
  }

  #take(code: number): void {
    const register = Math.floor(code / valuesPerRegister);
    if (code > (this.#codes.get(register) ?? -1)) this.#codes.set(register, code);
  }
}
