/**
 * Writes the protobuf encoding of one message after the other into one growing buffer. A general encoder walks a tree of
 * messages, which costs more than the run of a small model; what is written here is known field by field.
 */
export class RecordWriter {
  #bytes = Buffer.allocUnsafe(1024);
  #end = 0;

  /** What was written since the last time, as bytes of its own. */
  take(): Uint8Array {
    const taken = Buffer.from(this.#bytes.subarray(0, this.#end));
    this.#end = 0;
    return taken;
  }

  varint(value: number): void {
    this.#room(10);
    let rest = value;
    while (rest > 0x7f) {
      this.#bytes[this.#end++] = (rest & 0x7f) | 0x80;
      // Above 32 bits a shift would lose digits.
      rest = rest > 0x7fff_ffff ? Math.floor(rest / 128) : rest >>> 7;
    }
    this.#bytes[this.#end++] = rest;
  }

  /** A whole number of 64 bits with sign. */
  int64(value: bigint): void {
    this.#room(10);
    let rest = BigInt.asUintN(64, value);
    while (rest > 0x7fn) {
      this.#bytes[this.#end++] = Number(rest & 0x7fn) | 0x80;
      rest >>= 7n;
    }
    this.#bytes[this.#end++] = Number(rest);
  }

  double(value: number): void {
    this.#room(8);
    this.#end = this.#bytes.writeDoubleLE(value, this.#end);
  }

  raw(bytes: Uint8Array): void {
    this.#room(bytes.byteLength);
    this.#bytes.set(bytes, this.#end);
    this.#end += bytes.byteLength;
  }

  /** A part of some bytes. */
  range(bytes: Buffer, from: number, to: number): void {
    this.#room(to - from);
    this.#end += bytes.copy(this.#bytes, this.#end, from, to);
  }

  /** A field of text whose characters are one byte each. */
  latin1(tag: number, text: string): void {
    this.varint(tag);
    this.varint(text.length);
    this.#room(text.length);
    this.#end += this.#bytes.write(text, this.#end, "latin1");
  }

  /** A field whose value has a length: its tag, its length, its bytes. */
  field(tag: number, bytes: Uint8Array): void {
    this.varint(tag);
    this.varint(bytes.byteLength);
    this.raw(bytes);
  }

  #room(bytes: number): void {
    if (this.#end + bytes <= this.#bytes.byteLength) return;
    const larger = Buffer.allocUnsafe(Math.max(this.#bytes.byteLength * 2, this.#end + bytes));
    this.#bytes.copy(larger, 0, 0, this.#end);
    this.#bytes = larger;
  }
}

/** Bytes that a varint takes. */
export const varintBytes = (value: number): number => {
  let bytes = 1;
  for (let rest = value; rest > 0x7f; rest = Math.floor(rest / 128)) bytes++;
  return bytes;
};

/** Bytes that a whole number of 64 bits takes. */
export const int64Bytes = (value: bigint): number => {
  let bytes = 1;
  for (let rest = BigInt.asUintN(64, value); rest > 0x7fn; rest >>= 7n) bytes++;
  return bytes;
};
