import type { ByteReader } from "./byte-reader.ts";
import type { ByteWriter } from "./byte-writer.ts";
import type { Partial } from "./partial.ts";

/** How many values there were. */
export class CountPartial implements Partial {
  #count = 0;

  add(): void {
    this.#count++;
  }

  merge(other: Partial): void {
    if (!(other instanceof CountPartial)) throw new TypeError("a count merges with counts only");
    this.#count += other.#count;
  }

  result(): bigint {
    return BigInt(this.#count);
  }

  write(writer: ByteWriter): void {
    writer.varint(this.#count);
  }

  static read(reader: ByteReader): CountPartial {
    const partial = new CountPartial();
    partial.#count = reader.varint();
    return partial;
  }
}
