import type { AggregateFunction } from "@millrace/contracts/millrace/feature/v1/feature_repository";
import type { Scalar } from "../compiled.ts";
import { percentileCode, percentilePlace, percentileValue } from "../sketch/percentile-sketch.ts";
import type { ByteReader } from "./byte-reader.ts";
import type { ByteWriter } from "./byte-writer.ts";
import type { Partial } from "./partial.ts";

/** How many values there were, by bucket: see the sketch. */
export class PercentilePartial implements Partial {
  readonly #counts = new Map<number, number>();

  add(value: Exclude<Scalar, null>): void {
    this.#take(percentileCode(Number(value)), 1);
  }

  merge(other: Partial): void {
    if (!(other instanceof PercentilePartial)) throw new TypeError("percentiles merge with percentiles only");
    for (const [code, count] of other.#counts) this.#take(code, count);
  }

  result(_function: AggregateFunction, percentile: number): number {
    const buckets = this.#ordered();
    let count = 0;
    for (const [, own] of buckets) count += own;
    let place = percentilePlace(count, percentile);
    for (const [code, own] of buckets) {
      if (place < own) return percentileValue(code);
      place -= own;
    }
    throw new TypeError("an empty percentile has no value");
  }

  write(writer: ByteWriter): void {
    writer.varint(this.#counts.size);
    let before = 0;
    for (const [code, count] of this.#ordered()) {
      writer.zigzag(code - before);
      writer.varint(count);
      before = code;
    }
  }

  static read(reader: ByteReader): PercentilePartial {
    const partial = new PercentilePartial();
    let code = 0;
    for (let size = reader.varint(); size > 0; size--) {
      code += reader.zigzag();
      partial.#counts.set(code, reader.varint());
    }
    return partial;
  }

  #take(code: number, count: number): void {
    this.#counts.set(code, (this.#counts.get(code) ?? 0) + count);
  }

  #ordered(): [code: number, count: number][] {
    return [...this.#counts].sort(([a], [b]) => a - b);
  }
}
