import { decodeStrings, elementCount, halfToNumber, shapeText, type Tensor, typedView } from "@millrace/tensor";

/** How far two answers may be apart and count as equal: as far as single precision in another order of sums is. */
const absoluteTolerance = 1e-6;
const relativeTolerance = 1e-5;

/** Elements of an output that are compared: of larger ones so many are taken, evenly spread, so that the loop is short. */
const mostCompared = 65_536;

export interface OutputDifference {
  readonly equal: boolean;
  /** The largest absolute difference of numbers; undefined for texts, other shapes, and where a side is not finite alone. */
  readonly largest: number | undefined;
}

/**
 * Compares an output with another version's of the same name: equal shape and datatype, and each number within
 * 1e-6 + 1e-5 × its size, each text alike. NaN equals NaN.
 */
export const outputDifference = (one: Tensor, other: Tensor | undefined): OutputDifference => {
  if (other === undefined || one.datatype !== other.datatype || shapeText(one.shape) !== shapeText(other.shape)) {
    return { equal: false, largest: undefined };
  }
  if (one.datatype === "BYTES" || other.datatype === "BYTES") {
    return { equal: textsAreEqual(one, other), largest: undefined };
  }
  const [left, right] = [typedView(one.datatype, one.data), typedView(other.datatype, other.data)];
  const number = one.datatype === "FP16" ? (bits: number | bigint) => halfToNumber(Number(bits)) : Number;
  const step = Math.max(1, Math.ceil(left.length / mostCompared));
  let equal = true;
  let largest = 0;
  for (let index = 0; index < left.length; index += step) {
    if (left[index] === right[index]) continue;
    const [a, b] = [number(left[index] ?? 0), number(right[index] ?? 0)];
    if (a === b || (Number.isNaN(a) && Number.isNaN(b))) {
      // Whole numbers beyond 2^53 that round to the same double differ all the same.
      if (typeof left[index] === "bigint") equal = false;
      continue;
    }
    const difference = Math.abs(a - b);
    // A number that is finite on one side alone is further than any.
    const isNear = difference <= absoluteTolerance + relativeTolerance * Math.abs(a);
    if (!isNear || difference === Infinity) equal = false;
    largest = Math.max(largest, Number.isNaN(difference) ? Infinity : difference);
  }
  return { equal, largest: Number.isFinite(largest) ? largest : undefined };
};

const textsAreEqual = (one: Tensor, other: Tensor): boolean => {
  if (one.data.byteLength !== other.data.byteLength) return false;
  if (Buffer.compare(one.data, other.data) === 0) return true;
  const count = elementCount(one.shape);
  const right = decodeStrings(other.name, other.data, count);
  return decodeStrings(one.name, one.data, count).every((text, index) => text === right[index]);
};
