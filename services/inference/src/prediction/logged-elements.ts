import {
  bytesOf,
  type Datatype,
  decodeBytes,
  elementCount,
  halfToNumber,
  type Tensor,
  toNumbers,
  typedView,
} from "@millrace/tensor";
import { int64Bytes, type RecordWriter, varintBytes } from "./record-writer.ts";

/** How an element of a datatype is logged. */
type Kind = "bool" | "int64" | "float" | "double" | "string";

const kinds: Readonly<Record<Datatype, Kind>> = {
  BOOL: "bool",
  UINT8: "int64",
  UINT16: "int64",
  UINT32: "int64",
  UINT64: "int64",
  INT8: "int64",
  INT16: "int64",
  INT32: "int64",
  INT64: "int64",
  FP16: "float",
  FP32: "float",
  FP64: "double",
  BYTES: "string",
};

/** Tag of a millrace.feature.v1.Value of one element, and of a ColumnValues of several. */
const valueTags: Readonly<Record<Kind, number>> = { bool: 0x08, int64: 0x10, double: 0x19, float: 0x25, string: 0x2a };
const listTags: Readonly<Record<Kind, number>> = { bool: 0x0a, int64: 0x12, double: 0x1a, float: 0x22, string: 0x2a };

/** Bytes of an element that protobuf has in the very bytes that the tensor has it in; 0 where it has not. */
const fixedBytes: Readonly<Record<Kind, number>> = { bool: 1, float: 4, double: 8, int64: 0, string: 0 };

const greatestInt64 = 2n ** 63n - 1n;

/** The elements of a tensor as they are logged, each by its place in row-major order. */
export class LoggedElements {
  readonly name: string;
  readonly kind: Kind;
  readonly count: number;
  readonly valueTag: number;
  readonly listTag: number;
  readonly #tensor: Tensor;
  /** Of fixed size each. */
  readonly #data: Buffer;
  readonly #size: number;
  /** Where their size is not fixed. */
  readonly #whole: ArrayLike<number | bigint>;
  readonly #texts: readonly Uint8Array[];
  #numbers: Float64Array | undefined;

  constructor(tensor: Tensor) {
    const { name, datatype, shape } = tensor;
    this.name = name;
    this.kind = kinds[datatype];
    this.count = elementCount(shape);
    this.valueTag = valueTags[this.kind];
    this.listTag = listTags[this.kind];
    this.#tensor = tensor;
    this.#size = fixedBytes[this.kind];
    const data = datatype === "FP16" ? fromHalves(tensor) : tensor.data;
    this.#data = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
    this.#whole = this.kind === "int64" && datatype !== "BYTES" ? typedView(datatype, data) : [];
    this.#texts = datatype === "BYTES" ? decodeBytes(name, data, this.count) : [];
  }

  isNotANumber(at: number): boolean {
    if (this.kind === "float") return Number.isNaN(this.#data.readFloatLE(at * 4));
    return this.kind === "double" && Number.isNaN(this.#data.readDoubleLE(at * 8));
  }

  /** An element of numbers as a double. */
  number(at: number): number {
    if (this.kind === "float") return this.#data.readFloatLE(at * 4);
    if (this.kind === "double") return this.#data.readDoubleLE(at * 8);
    const { datatype, data } = this.#tensor;
    this.#numbers ??= datatype === "BYTES" ? new Float64Array() : toNumbers(datatype, data);
    return this.#numbers[at] as number;
  }

  /** Bytes of one element behind its tag. */
  bytesOf(at: number): number {
    if (this.#size > 0) return this.#size;
    if (this.kind === "int64") return int64Bytes(this.#int64(at));
    const { byteLength } = this.#texts[at] as Uint8Array;
    return varintBytes(byteLength) + byteLength;
  }

  bytesOfRange(from: number, to: number): number {
    if (this.#size > 0) return (to - from) * this.#size;
    let bytes = 0;
    for (let at = from; at < to; at++) bytes += this.bytesOf(at);
    return bytes;
  }

  write(writer: RecordWriter, at: number): void {
    if (this.#size > 0) writer.range(this.#data, at * this.#size, (at + 1) * this.#size);
    else if (this.kind === "int64") writer.int64(this.#int64(at));
    else {
      const text = this.#texts[at] as Uint8Array;
      writer.varint(text.byteLength);
      writer.raw(text);
    }
  }

  writeRange(writer: RecordWriter, from: number, to: number): void {
    if (this.#size > 0) writer.range(this.#data, from * this.#size, to * this.#size);
    else for (let at = from; at < to; at++) this.write(writer, at);
  }

  /** A UINT64 that is too large for an int64 saturates, so that its order stays. */
  #int64(at: number): bigint {
    const whole = BigInt(this.#whole[at] as number | bigint);
    return whole > greatestInt64 ? greatestInt64 : whole;
  }
}

const fromHalves = ({ data }: Tensor): Uint8Array =>
  bytesOf(Float32Array.from(typedView("FP16", data) as Uint16Array, halfToNumber));
