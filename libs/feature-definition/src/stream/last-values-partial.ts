import type { ValueType } from "@millrace/contracts/millrace/feature/v1/column";
import type { Scalar } from "../compiled.ts";
import type { ByteReader } from "./byte-reader.ts";
import type { ByteWriter } from "./byte-writer.ts";
import type { Partial } from "./partial.ts";
import { readScalar, writeScalar } from "./scalar-codec.ts";
import { compareOrder, type EventOrder } from "./source-event.ts";

interface Placed {
  readonly order: EventOrder;
  readonly value: Exclude<Scalar, null>;
}

/** The values of the newest events, with those events' places in the order of events; the newest first. */
export class LastValuesPartial implements Partial {
  readonly #most: number;
  readonly #type: ValueType;
  readonly #held: Placed[] = [];

  /** @param most how many are kept. */
  constructor(most: number, type: ValueType) {
    this.#most = most;
    this.#type = type;
  }

  add(value: Exclude<Scalar, null>, order: EventOrder): void {
    let index = 0;
    for (const held of this.#held) {
      if (compareOrder(order, held.order) > 0) break;
      index++;
    }
    if (index >= this.#most) return;
    this.#held.splice(index, 0, { order, value });
    if (this.#held.length > this.#most) this.#held.pop();
  }

  merge(other: Partial): void {
    if (!(other instanceof LastValuesPartial)) throw new TypeError("last values merge with last values only");
    for (const { value, order } of other.#held) this.add(value, order);
  }

  result(): Scalar {
    return this.#held.map(({ value }) => value);
  }

  write(writer: ByteWriter): void {
    writer.varint(this.#held.length);
    for (const { order, value } of this.#held) {
      writer.zigzag(order.eventTimeUs);
      writer.zigzag(order.createdAtUs - order.eventTimeUs);
      writer.varint(order.partition + 1);
      writer.varint(order.offset);
      writeScalar(writer, this.#type, value);
    }
  }

  static read(reader: ByteReader, most: number, type: ValueType): LastValuesPartial {
    const partial = new LastValuesPartial(most, type);
    for (let count = reader.varint(); count > 0; count--) {
      const eventTimeUs = reader.zigzag();
      const createdAtUs = eventTimeUs + reader.zigzag();
      const order = { eventTimeUs, createdAtUs, partition: reader.varint() - 1, offset: reader.varint() };
      partial.#held.push({ order, value: readScalar(reader, type) });
    }
    return partial;
  }
}
