import { FeatureStatus, ValueType } from "@millrace/contracts/millrace/feature/v1/column";
import type { Scalar } from "../compiled.ts";
import type { ByteReader } from "./byte-reader.ts";
import { readScalar } from "./scalar-codec.ts";

/** The memory of a view's columns, one after the other. */
interface ColumnMemory {
  readonly statuses: Uint8Array;
  readonly isPresent: Uint8Array;
  readonly eventTimesUs: Float64Array;
  readonly numbers: Float64Array;
  /** The same memory as `numbers`. */
  readonly halves: Int32Array;
}

/**
 * The values of one feature for the rows of an answer. Numbers lie in arrays of their type, so that rows are read and
 * answers are written without an object a value. A row that nothing was set for is NOT_FOUND and null.
 */
export class ServedColumn {
  readonly type: ValueType;
  readonly rows: number;
  readonly #memory: ColumnMemory;
  readonly #start: number;
  readonly #isNumber: boolean;
  readonly #isInteger: boolean;
  /** Of the types that are no numbers: the values, null where null. */
  readonly #others: Scalar[];

  constructor(type: ValueType, rows: number, memory: ColumnMemory = allocate(rows), start = 0) {
    this.type = type;
    this.rows = rows;
    this.#memory = memory;
    this.#start = start;
    this.#isNumber = type === ValueType.DOUBLE || type === ValueType.FLOAT;
    this.#isInteger = type === ValueType.INT64 || type === ValueType.TIMESTAMP;
    this.#others = this.#isNumber || this.#isInteger ? noValues : new Array<Scalar>(rows).fill(null);
  }

  status(row: number): FeatureStatus {
    return this.#memory.statuses[this.#start + row] as FeatureStatus;
  }

  setStatus(row: number, status: FeatureStatus): void {
    this.#memory.statuses[this.#start + row] = status;
  }

  /** Event time of the newest row behind a value, in microseconds; 0 where there is none. */
  eventTimeUs(row: number): number {
    return this.#memory.eventTimesUs[this.#start + row] ?? 0;
  }

  setEventTimeUs(row: number, timeUs: number): void {
    this.#memory.eventTimesUs[this.#start + row] = timeUs;
  }

  /** The value of a row, null where there is none. */
  value(row: number): Scalar {
    const at = this.#start + row;
    const { isPresent, numbers, halves } = this.#memory;
    if (isPresent[at] !== 1) return null;
    if (this.#isNumber) return numbers[at] ?? null;
    if (!this.#isInteger) return this.#others[row] ?? null;
    return (BigInt(halves[at * 2 + 1] ?? 0) << 32n) | BigInt((halves[at * 2] ?? 0) >>> 0);
  }

  /** Sets the value of a row, of the column's type. */
  setValue(row: number, value: Scalar): void {
    const at = this.#start + row;
    const { isPresent, numbers, halves } = this.#memory;
    isPresent[at] = value === null ? 0 : 1;
    if (this.#isNumber) {
      numbers[at] = typeof value === "number" ? value : 0;
    } else if (this.#isInteger) {
      const integer = typeof value === "bigint" ? value : 0n;
      halves[at * 2] = Number(BigInt.asIntN(32, integer));
      halves[at * 2 + 1] = Number(BigInt.asIntN(32, integer >> 32n));
    } else {
      this.#others[row] = value;
    }
  }

  /** Makes a row what it was at first: NOT_FOUND. */
  clear(row: number): void {
    this.setValue(row, null);
    this.setStatus(row, FeatureStatus.NOT_FOUND);
    this.setEventTimeUs(row, 0);
  }

  /** Takes the value of a row out of what writeScalar wrote. */
  readValue(row: number, reader: ByteReader): void {
    const at = this.#start + row;
    this.#memory.isPresent[at] = 1;
    if (this.#isInteger) reader.int64(this.#memory.halves, at * 2);
    else if (!this.#isNumber) this.#others[row] = readScalar(reader, this.type);
    else this.#memory.numbers[at] = this.type === ValueType.FLOAT ? reader.f32() : reader.f64();
  }

  /** A FeatureStatus a row. A view of the column's memory. */
  statuses(): Uint8Array {
    return this.#memory.statuses.subarray(this.#start, this.#start + this.rows);
  }

  eventTimesUs(): Float64Array {
    return this.#memory.eventTimesUs.subarray(this.#start, this.#start + this.rows);
  }

  /** The values of a DOUBLE or a FLOAT, 0 where null; undefined of other types. A view of the column's memory. */
  numbers(): Float64Array | undefined {
    return this.#isNumber ? this.#memory.numbers.subarray(this.#start, this.#start + this.rows) : undefined;
  }

  /**
   * The values of an INT64 or a TIMESTAMP as pairs of 32 bits, the lower first, 0 where null; undefined of other types.
   * A view of the column's memory.
   */
  integerHalves(): Int32Array | undefined {
    if (!this.#isInteger) return undefined;
    return this.#memory.halves.subarray(this.#start * 2, (this.#start + this.rows) * 2);
  }
}

const noValues: Scalar[] = [];

/**
 * Makes the columns of a view, in memory that lies together.
 * @param types by feature; undefined where a feature is not asked for.
 */
export function servedColumns(types: readonly (ValueType | undefined)[], rows: number): (ServedColumn | undefined)[] {
  const memory = allocate(rows * types.filter((type) => type !== undefined).length);
  let start = -rows;
  return types.map((type) => {
    if (type === undefined) return undefined;
    start += rows;
    return new ServedColumn(type, rows, memory, start);
  });
}

function allocate(values: number): ColumnMemory {
  const numbers = new Float64Array(values);
  return {
    statuses: new Uint8Array(values).fill(FeatureStatus.NOT_FOUND),
    isPresent: new Uint8Array(values),
    eventTimesUs: new Float64Array(values),
    numbers,
    halves: new Int32Array(numbers.buffer),
  };
}
