import { MillraceError, Reason } from "@millrace/errors";

const utf8 = new TextDecoder();

/** Thrown when the bytes of an online row are not a row: another writer, a damaged store, or an unknown format. */
export class RowCorruptError extends MillraceError {
  constructor(detail: string) {
    super("DATA_LOSS", Reason.INTERNAL, `An online row cannot be read: ${detail}.`);
  }
}

const nothing = new DataView(new ArrayBuffer(0));

/** Reads what ByteWriter wrote. Every method throws RowCorruptError where the bytes end too early. */
export class ByteReader {
  /** Over all the memory that the bytes are a part of: rows that a store sent together lie in one. */
  #memory: DataView<ArrayBufferLike> = nothing;
  #start = 0;
  #at = 0;
  #end = 0;

  constructor(bytes?: Uint8Array) {
    if (bytes !== undefined) this.reset(bytes);
  }

  /** Begins anew, with other bytes. */
  reset(bytes: Uint8Array): this {
    if (this.#memory.buffer !== bytes.buffer) this.#memory = new DataView(bytes.buffer);
    this.#start = bytes.byteOffset;
    this.#at = bytes.byteOffset;
    this.#end = bytes.byteOffset + bytes.byteLength;
    return this;
  }

  get done(): boolean {
    return this.#at >= this.#end;
  }

  u8(): number {
    if (this.#at >= this.#end) throw this.#tooShort();
    return this.#memory.getUint8(this.#at++);
  }

  u48(): number {
    const at = this.#take(6);
    return this.#memory.getUint16(at) * 2 ** 32 + this.#memory.getUint32(at + 2);
  }

  f32(): number {
    return this.#memory.getFloat32(this.#take(4), true);
  }

  f64(): number {
    return this.#memory.getFloat64(this.#take(8), true);
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
    return new Uint8Array(this.#memory.buffer, this.#take(length), length);
  }

  /** Passes over a bitmap, and says where it is. */
  bitmap(bits: number): number {
    return this.#take(Math.ceil(bits / 8));
  }

  /** Whether a bit of a bitmap is set. */
  bit(bitmap: number, index: number): boolean {
    return ((this.#memory.getUint8(bitmap + (index >> 3)) >> (index & 7)) & 1) === 1;
  }

  string(): string {
    return utf8.decode(this.raw(this.varint()));
  }

  #take(count: number): number {
    const at = this.#at;
    if (at + count > this.#end) throw this.#tooShort();
    this.#at += count;
    return at;
  }

  #tooShort(): RowCorruptError {
    return new RowCorruptError(`it ends at byte ${this.#end - this.#start}`);
  }
}
