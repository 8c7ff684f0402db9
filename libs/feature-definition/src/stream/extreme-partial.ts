import type { ValueType } from "@millrace/contracts/millrace/feature/v1/column";
import type { Scalar } from "../compiled.ts";
import type { ByteReader } from "./byte-reader.ts";
import type { ByteWriter } from "./byte-writer.ts";
import type { Partial } from "./partial.ts";
import { readScalar, writeScalar } from "./scalar-codec.ts";

const utf8 = new TextEncoder();

/** The least (−1) or the greatest (1) value. NaN beats every other value, both ways: it propagates. */
export class ExtremePartial implements Partial {
  readonly #direction: -1 | 1;
  readonly #type: ValueType;
  #value: Exclude<Scalar, null> | undefined;

  constructor(direction: -1 | 1, type: ValueType) {
    this.#direction = direction;
    this.#type = type;
  }

  add(value: Exclude<Scalar, null>): void {
    const held = this.#value;
    if (held === undefined || (isNaN64(value) && !isNaN64(held))) this.#value = value;
    else if (!isNaN64(held) && compare(value, held) * this.#direction > 0) this.#value = value;
  }

  merge(other: Partial): void {
    if (!(other instanceof ExtremePartial)) throw new TypeError("an extreme merges with extremes only");
    if (other.#value !== undefined) this.add(other.#value);
  }

  result(): Scalar {
    return this.#value ?? null;
  }

  write(writer: ByteWriter): void {
    if (this.#value === undefined) throw new TypeError("an empty extreme is not written");
    writeScalar(writer, this.#type, this.#value);
  }

  static read(reader: ByteReader, direction: -1 | 1, type: ValueType): ExtremePartial {
    const partial = new ExtremePartial(direction, type);
    partial.#value = readScalar(reader, type);
    return partial;
  }
}

function isNaN64(value: Scalar): boolean {
  return typeof value === "number" && Number.isNaN(value);
}

/** Numbers by size, text and bytes by their bytes (UTF-8), as the SQL engine's binary collation does. */
function compare(a: Exclude<Scalar, null>, b: Exclude<Scalar, null>): number {
  if (typeof a === "string" && typeof b === "string") return Buffer.compare(utf8.encode(a), utf8.encode(b));
  if (a instanceof Uint8Array && b instanceof Uint8Array) return Buffer.compare(a, b);
  return a < b ? -1 : a > b ? 1 : 0;
}
