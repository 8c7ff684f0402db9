import type { ValueType } from "@millrace/contracts/millrace/feature/v1/column";
import type { Scalar } from "../compiled.ts";
import type { ByteReader } from "./byte-reader.ts";
import type { ByteWriter } from "./byte-writer.ts";
import type { Partial } from "./partial.ts";
import { readScalar, writeScalar } from "./scalar-codec.ts";
import { compareOrder, type EventOrder } from "./source-event.ts";

/** The value of the newest (1) or of the oldest (−1) event, with that event's place in the order of events. */
export class EndPartial implements Partial {
  readonly #direction: -1 | 1;
  readonly #type: ValueType;
  #value: Exclude<Scalar, null> | undefined;
  #order: EventOrder | undefined;

  constructor(direction: -1 | 1, type: ValueType) {
    this.#direction = direction;
    this.#type = type;
  }

  add(value: Exclude<Scalar, null>, order: EventOrder): void {
    if (this.#order !== undefined && compareOrder(order, this.#order) * this.#direction <= 0) return;
    this.#value = value;
    this.#order = order;
  }

  merge(other: Partial): void {
    if (!(other instanceof EndPartial)) throw new TypeError("an end merges with ends only");
    if (other.#value !== undefined && other.#order !== undefined) this.add(other.#value, other.#order);
  }

  result(): Scalar {
    return this.#value ?? null;
  }

  write(writer: ByteWriter): void {
    if (this.#value === undefined || this.#order === undefined) throw new TypeError("an empty end is not written");
    writer.zigzag(this.#order.eventTimeUs);
    writer.zigzag(this.#order.createdAtUs - this.#order.eventTimeUs);
    writer.varint(this.#order.partition + 1);
    writer.varint(this.#order.offset);
    writeScalar(writer, this.#type, this.#value);
  }

  static read(reader: ByteReader, direction: -1 | 1, type: ValueType): EndPartial {
    const partial = new EndPartial(direction, type);
    const eventTimeUs = reader.zigzag();
    const createdAtUs = eventTimeUs + reader.zigzag();
    partial.#order = { eventTimeUs, createdAtUs, partition: reader.varint() - 1, offset: reader.varint() };
    partial.#value = readScalar(reader, type);
    return partial;
  }
}
