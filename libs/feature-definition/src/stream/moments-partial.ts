import { AggregateFunction } from "@millrace/contracts/millrace/feature/v1/feature_repository";
import type { Scalar } from "../compiled.ts";
import type { ByteReader } from "./byte-reader.ts";
import type { ByteWriter } from "./byte-writer.ts";
import type { Partial } from "./partial.ts";

/**
 * Count, mean and sum of squared deviations from the mean: variance and standard deviation of the sample.
 *
 * @see Welford 1962 for one value at a time; Chan, Golub and LeVeque 1979 for the merge.
 */
export class MomentsPartial implements Partial {
  #count = 0;
  #mean = 0;
  #squares = 0;

  add(value: Scalar): void {
    const number = Number(value);
    this.#count++;
    const before = number - this.#mean;
    this.#mean += before / this.#count;
    this.#squares += before * (number - this.#mean);
  }

  merge(other: Partial): void {
    if (!(other instanceof MomentsPartial)) throw new TypeError("moments merge with moments only");
    if (other.#count === 0) return;
    const count = this.#count + other.#count;
    const distance = other.#mean - this.#mean;
    this.#squares += other.#squares + (distance * distance * this.#count * other.#count) / count;
    this.#mean += (distance * other.#count) / count;
    this.#count = count;
  }

  /** Null for one value: a sample of one has no variance. */
  result(aggregate: AggregateFunction): Scalar {
    if (this.#count < 2) return null;
    const variance = this.#squares / (this.#count - 1);
    return aggregate === AggregateFunction.STDDEV ? Math.sqrt(variance) : variance;
  }

  write(writer: ByteWriter): void {
    writer.varint(this.#count);
    writer.f64(this.#mean);
    writer.f64(this.#squares);
  }

  static read(reader: ByteReader): MomentsPartial {
    const partial = new MomentsPartial();
    partial.#count = reader.varint();
    partial.#mean = reader.f64();
    partial.#squares = reader.f64();
    return partial;
  }
}
