import { AggregateFunction } from "@millrace/contracts/millrace/feature/v1/feature_repository";
import type { Scalar } from "../compiled.ts";
import type { ByteReader } from "./byte-reader.ts";
import type { ByteWriter } from "./byte-writer.ts";
import type { Partial } from "./partial.ts";

/**
 * Sum and count of floating-point values. The sum carries what rounding lost beside it (Neumaier's compensation), so
 * that grouping by tiles and order of arrival change the result by far less than 1e-9 of it, also where large values
 * cancel. NaN and infinities propagate, as in SQL.
 *
 * @see Neumaier 1974, "Rundungsfehleranalyse einiger Verfahren zur Summation endlicher Summen".
 */
export class SumPartial implements Partial {
  #count = 0;
  #sum = 0;
  #lost = 0;

  add(value: Scalar): void {
    this.#count++;
    this.#plus(Number(value));
  }

  merge(other: Partial): void {
    if (!(other instanceof SumPartial)) throw new TypeError("a sum merges with sums only");
    this.#count += other.#count;
    this.#plus(other.#sum);
    this.#lost += other.#lost;
  }

  result(aggregate: AggregateFunction): number {
    const total = Number.isFinite(this.#sum) ? this.#sum + this.#lost : this.#sum;
    return aggregate === AggregateFunction.MEAN ? total / this.#count : total;
  }

  /** Count times two, plus one where a compensation follows the sum. */
  write(writer: ByteWriter): void {
    const compensated = this.#lost !== 0 && Number.isFinite(this.#sum);
    writer.varint(this.#count * 2 + (compensated ? 1 : 0));
    writer.f64(this.#sum);
    if (compensated) writer.f64(this.#lost);
  }

  static read(reader: ByteReader): SumPartial {
    const partial = new SumPartial();
    const head = reader.varint();
    partial.#count = Math.floor(head / 2);
    partial.#sum = reader.f64();
    if (head % 2 === 1) partial.#lost = reader.f64();
    return partial;
  }

  #plus(value: number): void {
    const sum = this.#sum + value;
    this.#lost += Math.abs(this.#sum) >= Math.abs(value) ? this.#sum - sum + value : value - sum + this.#sum;
    this.#sum = sum;
    if (!Number.isFinite(sum)) this.#lost = 0;
  }
}
