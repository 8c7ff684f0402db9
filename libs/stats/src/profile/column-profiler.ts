import { create } from "@bufbuild/protobuf";
import {
  type ColumnLayout,
  type ColumnProfile,
  ColumnProfileSchema,
} from "@millrace/contracts/millrace/model/v1/model_package";
import { isNumeric } from "./column-data.ts";

/** The range that a definition declares for a feature, both ends in it. */
export interface DeclaredRange {
  readonly min?: number | undefined;
  readonly max?: number | undefined;
}

/** One more than the highest FeatureStatus. Profiles from before a status was added have fewer. */
const STATUSES = 6;
/** Values outside of the layout's categories that are kept by name; further ones are only counted in the last bin. */
const UNSEEN_KEPT = 256;
const UNSEEN_CHARACTERS = 128;

/**
 * Counts the values of one column, one call a value. All state is plain numbers and typed arrays: this runs for each
 * feature of each prediction.
 */
export class ColumnProfiler {
  readonly layout: ColumnLayout;
  readonly numeric: boolean;
  #count = 0;
  #nulls = 0;
  #nans = 0;
  #infinities = 0;
  #mean = 0;
  #m2 = 0;
  #min = Number.POSITIVE_INFINITY;
  #max = Number.NEGATIVE_INFINITY;
  #outOfRange = 0;
  #wrongType = 0;
  readonly #edges: Float64Array;
  readonly #bins: Float64Array;
  readonly #binSums: Float64Array;
  readonly #statuses = new Float64Array(STATUSES);
  readonly #binOfCategory = new Map<string | number, number>();
  readonly #unseen = new Map<string, number>();
  readonly #clipLow: number;
  readonly #clipHigh: number;
  readonly #low: number;
  readonly #high: number;

  constructor(layout: ColumnLayout, range: DeclaredRange = {}) {
    this.layout = layout;
    this.numeric = isNumeric(layout.meaning);
    this.#edges = Float64Array.from(layout.edges);
    this.#clipLow = layout.clipLow;
    this.#clipHigh = layout.clipHigh;
    this.#low = range.min ?? Number.NEGATIVE_INFINITY;
    this.#high = range.max ?? Number.POSITIVE_INFINITY;
    this.#bins = new Float64Array((this.numeric ? layout.edges.length : layout.categories.length) + 1);
    this.#binSums = new Float64Array(this.numeric ? this.#bins.length : 0);
    layout.categories.forEach((category, bin) => {
      this.#binOfCategory.set(category, bin);
      const number = Number(category);
      if (String(number) === category) this.#binOfCategory.set(number, bin);
    });
  }

  /** A value of a column of numbers, or the number of a column of categories. */
  addNumber(value: number): void {
    if (!this.numeric) {
      this.#addCategory(value);
      return;
    }
    if (Number.isNaN(value)) {
      this.#nans++;
      return;
    }
    if (value < this.#low || value > this.#high) this.#outOfRange++;
    if (value === Number.POSITIVE_INFINITY || value === Number.NEGATIVE_INFINITY) {
      this.#infinities++;
      return;
    }
    const count = ++this.#count;
    const difference = value - this.#mean;
    this.#mean += difference / count;
    this.#m2 += difference * (value - this.#mean);
    if (value < this.#min) this.#min = value;
    if (value > this.#max) this.#max = value;
    const edges = this.#edges;
    let low = 0;
    let high = edges.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((edges[middle] as number) <= value) low = middle + 1;
      else high = middle;
    }
    this.#bins[low] = (this.#bins[low] as number) + 1;
    const clipped = value < this.#clipLow ? this.#clipLow : Math.min(value, this.#clipHigh);
    this.#binSums[low] = (this.#binSums[low] as number) + (clipped - this.#clipLow);
  }

  /** A value of a column of categories; text in a column of numbers is a wrong type. */
  addString(value: string): void {
    if (this.numeric) this.#wrongType++;
    else this.#addCategory(value);
  }

  addNull(): void {
    this.#nulls++;
  }

  /** A value that is neither a number nor text. */
  addWrongType(): void {
    this.#wrongType++;
  }

  /** @param status a FeatureStatus. */
  addStatus(status: number): void {
    if (status >= 0 && status < STATUSES) this.#statuses[status] = (this.#statuses[status] as number) + 1;
  }

  #addCategory(value: string | number): void {
    if (Number.isNaN(value)) {
      this.#nans++;
      return;
    }
    this.#count++;
    const bin = this.#binOfCategory.get(value);
    if (bin !== undefined) {
      this.#bins[bin] = (this.#bins[bin] as number) + 1;
      return;
    }
    const last = this.#bins.length - 1;
    this.#bins[last] = (this.#bins[last] as number) + 1;
    this.#countUnseen(String(value).slice(0, UNSEEN_CHARACTERS), 1);
  }

  #countUnseen(name: string, rows: number): void {
    const known = this.#unseen.get(name);
    if (known !== undefined || this.#unseen.size < UNSEEN_KEPT) this.#unseen.set(name, (known ?? 0) + rows);
  }

  /** Adds the rows of a profile of the same layout. Moments merge by the formula of Chan, Golub and LeVeque 1983. */
  merge(other: ColumnProfile): void {
    const otherCount = Number(other.count);
    if (this.numeric && otherCount > 0) {
      const total = this.#count + otherCount;
      const difference = other.mean - this.#mean;
      this.#mean = this.#count === 0 ? other.mean : this.#mean + (difference * otherCount) / total;
      this.#m2 += other.m2 + (difference * difference * this.#count * otherCount) / total;
      this.#min = Math.min(this.#min, other.min);
      this.#max = Math.max(this.#max, other.max);
    }
    this.#count += otherCount;
    this.#nulls += Number(other.nulls);
    this.#nans += Number(other.nans);
    this.#infinities += Number(other.infinities);
    this.#outOfRange += Number(other.outOfRange);
    this.#wrongType += Number(other.wrongType);
    if (other.bins.length > 0) addInto(this.#bins, other.bins, `bins of \`${this.layout.name}\``);
    if (other.binSums.length > 0) addInto(this.#binSums, other.binSums, `bin sums of \`${this.layout.name}\``);
    for (const [status, rows] of other.statuses.slice(0, STATUSES).entries()) {
      this.#statuses[status] = (this.#statuses[status] as number) + Number(rows);
    }
    for (const [name, rows] of Object.entries(other.unseen)) this.#countUnseen(name, Number(rows));
  }

  toProfile(): ColumnProfile {
    const moments = this.numeric && this.#count > 0;
    return create(ColumnProfileSchema, {
      name: this.layout.name,
      count: BigInt(this.#count),
      nulls: BigInt(this.#nulls),
      nans: BigInt(this.#nans),
      infinities: BigInt(this.#infinities),
      mean: moments ? this.#mean : 0,
      m2: moments ? this.#m2 : 0,
      // Adding zero makes -0 a 0, so that the order of rows does not show.
      min: moments ? this.#min + 0 : 0,
      max: moments ? this.#max + 0 : 0,
      bins: Array.from(this.#bins, BigInt),
      statuses: this.#statuses.some((rows) => rows > 0) ? Array.from(this.#statuses, BigInt) : [],
      outOfRange: BigInt(this.#outOfRange),
      wrongType: BigInt(this.#wrongType),
      unseen: Object.fromEntries(
        [...this.#unseen].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, rows]) => [name, BigInt(rows)]),
      ),
      binSums: Array.from(this.#binSums),
    });
  }
}

const addInto = (into: Float64Array, more: readonly (bigint | number)[], what: string): void => {
  if (more.length !== into.length)
    throw new RangeError(
      `Profiles of another layout cannot be merged: ${what} are ${more.length}, not ${into.length}.`,
    );
  for (let index = 0; index < into.length; index++) into[index] = (into[index] as number) + Number(more[index]);
};
