import { MillraceError, Reason } from "@millrace/errors";

const utf8 = new TextDecoder();

/** Thrown when the bytes of an online row are not a row: another writer, a damaged store, or an unknown format. */
export class RowCorruptError extends MillraceError {
  constructor(detail: string) {
    super("DATA_LOSS", Reason.INTERNAL, `An online row cannot be read: ${detail}.`);
  }
}

/** Reads what ByteWriter wrote. Every method throws RowCorruptError where the bytes end too early. */
export class ByteReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get done(): boolean {
    return this.#at >= this.#bytes.length;
  }

  u8(): number {
    const value = this.#bytes[this.#at++];
    if (value === undefined) throw new RowCorruptError(`it ends at byte ${this.#bytes.length}`);
    return value;
  }

  u48(): number {
    const at = this.#take(6);
    return this.#view.getUint16(at) * 2 ** 32 + this.#view.getUint32(at + 2);
  }

  f32(): number {
    return this.#view.getFloat32(this.#take(4), true);
  }

  f64(): number {
    return this.#view.getFloat64(this.#take(8), true);
  }

  varint(): number {
    let value = 0;
    let scale = 1;
    for (let count = 0; count < 8; count++) {
      const byte = this.u8();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
      scale *= 0x80;
    }
    throw new RowCorruptError("a number is longer than 8 bytes");
  }

  zigzag(): number {
    const value = this.varint();
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  }

  bigint(): bigint {
    let value = 0n;
    let shift = 0n;
    for (;;) {
      const byte = this.u8();
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) break;
      shift += 7n;
    }
    return (value & 1n) === 0n ? value >> 1n : -((value + 1n) >> 1n);
  }

  /** A whole number of 64 bits, as bigint() reads it, into two places: its lower 32 bits and its upper ones. */
  int64(into: Int32Array, at: number): void {
    let low = 0;
    let high = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = this.u8();
      const bits = byte & 0x7f;
      if (shift < 32) low |= bits << shift;
      if (shift > 28) high |= bits << (shift - 32);
      else if (shift === 28) high = bits >>> 4;
      if (byte < 0x80) break;
      if (shift === 63) throw new RowCorruptError("a whole number is longer than 64 bits");
    }
    const sign = -(low & 1);
    into[at] = ((low >>> 1) | (high << 31)) ^ sign;
    into[at + 1] = (high >>> 1) ^ sign;
  }

  /** A copy. */
  bytes(): Uint8Array {
    const length = this.varint();
    return this.raw(length).slice();
  }

  skip(length: number): void {
    this.#take(length);
  }

  /** A view into the row. */
  raw(length: number): Uint8Array {
    const at = this.#take(length);
    return this.#bytes.subarray(at, at + length);
  }

  string(): string {
    return utf8.decode(this.raw(this.varint()));
  }

  #take(count: number): number {
    const at = this.#at;
    if (at + count > this.#bytes.length) throw new RowCorruptError(`it ends at byte ${this.#bytes.length}`);
    this.#at += count;
    return at;
  }
}
