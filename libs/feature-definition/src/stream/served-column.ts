import { FeatureStatus, ValueType } from "@millrace/contracts/millrace/feature/v1/column";
import type { Scalar } from "../compiled.ts";
import type { ByteReader } from "./byte-reader.ts";
import { readScalar } from "./scalar-codec.ts";

/**
 * The values of one feature for the rows of an answer. Numbers lie in arrays of their type, so that rows are read and
 * answers are written without an object a value. A row that nothing was set for is NOT_FOUND and null.
 */
export class ServedColumn {
  readonly type: ValueType;
  readonly rows: number;
  /** A FeatureStatus a row. */
  readonly statuses: Uint8Array;
  /** Event time of the newest row behind each value, in microseconds; 0 where there is none. */
  readonly eventTimesUs: Float64Array;
  /** Of a DOUBLE or a FLOAT: the values, 0 where null. */
  readonly numbers: Float64Array | undefined;
  /** Of an INT64 or a TIMESTAMP: the values as pairs of 32 bits, the lower first, 0 where null. */
  readonly integers: Int32Array | undefined;
  /** Of the other types: the values, null where null. */
  readonly others: Scalar[];
  readonly #isPresent: Uint8Array;

  constructor(type: ValueType, rows: number) {
    this.type = type;
    this.rows = rows;
    this.statuses = new Uint8Array(rows).fill(FeatureStatus.NOT_FOUND);
    this.eventTimesUs = new Float64Array(rows);
    const isNumber = type === ValueType.DOUBLE || type === ValueType.FLOAT;
    const isInteger = type === ValueType.INT64 || type === ValueType.TIMESTAMP;
    this.numbers = isNumber ? new Float64Array(rows) : undefined;
    this.integers = isInteger ? new Int32Array(rows * 2) : undefined;
    this.others = isNumber || isInteger ? [] : new Array<Scalar>(rows).fill(null);
    this.#isPresent = new Uint8Array(rows);
  }

  status(row: number): FeatureStatus {
    return this.statuses[row] as FeatureStatus;
  }

  /** The value of a row, null where there is none. */
  value(row: number): Scalar {
    if (this.#isPresent[row] !== 1) return null;
    if (this.numbers !== undefined) return this.numbers[row] ?? null;
    if (this.integers === undefined) return this.others[row] ?? null;
    const low = BigInt((this.integers[row * 2] ?? 0) >>> 0);
    return (BigInt(this.integers[row * 2 + 1] ?? 0) << 32n) | low;
  }

  /** Sets the value of a row, of the column's type. */
  setValue(row: number, value: Scalar): void {
    this.#isPresent[row] = value === null ? 0 : 1;
    if (this.numbers !== undefined) {
      this.numbers[row] = typeof value === "number" ? value : 0;
    } else if (this.integers !== undefined) {
      const integer = typeof value === "bigint" ? value : 0n;
      this.integers[row * 2] = Number(BigInt.asIntN(32, integer));
      this.integers[row * 2 + 1] = Number(BigInt.asIntN(32, integer >> 32n));
    } else {
      this.others[row] = value;
    }
  }

  /** Takes the value of a row out of what writeScalar wrote. */
  readValue(row: number, reader: ByteReader): void {
    this.#isPresent[row] = 1;
    if (this.integers !== undefined) reader.int64(this.integers, row * 2);
    else if (this.numbers === undefined) this.others[row] = readScalar(reader, this.type);
    else this.numbers[row] = this.type === ValueType.FLOAT ? reader.f32() : reader.f64();
  }
}
