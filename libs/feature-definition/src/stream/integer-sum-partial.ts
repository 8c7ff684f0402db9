import { AggregateFunction } from "@millrace/contracts/millrace/feature/v1/feature_repository";
import type { Scalar } from "../compiled.ts";
import type { ByteReader } from "./byte-reader.ts";
import type { ByteWriter } from "./byte-writer.ts";
import type { Partial } from "./partial.ts";

/** Exact sum and count of INT64 values. The sum of a tile may leave INT64; whether a window's does is asked in the end. */
export class IntegerSumPartial implements Partial {
  #count = 0;
  #sum = 0n;

  add(value: Scalar): void {
    this.#count++;
    this.#sum += typeof value === "bigint" ? value : BigInt(Number(value));
  }

  merge(other: Partial): void {
    if (!(other instanceof IntegerSumPartial)) throw new TypeError("an integer sum merges with integer sums only");
    this.#count += other.#count;
    this.#sum += other.#sum;
  }

  result(aggregate: AggregateFunction): Scalar {
    return aggregate === AggregateFunction.MEAN ? Number(this.#sum) / this.#count : this.#sum;
  }

  write(writer: ByteWriter): void {
    writer.varint(this.#count);
    writer.bigint(this.#sum);
  }

  static read(reader: ByteReader): IntegerSumPartial {
    const partial = new IntegerSumPartial();
    partial.#count = reader.varint();
    partial.#sum = reader.bigint();
    return partial;
  }
}
