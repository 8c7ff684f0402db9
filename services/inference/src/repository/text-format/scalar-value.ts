import { ScalarType } from "@bufbuild/protobuf";

/** What a scalar field may hold, in words, for an error. */
export const expectedOf: Readonly<Record<ScalarType, string>> = {
  [ScalarType.DOUBLE]: "a number",
  [ScalarType.FLOAT]: "a number",
  [ScalarType.INT64]: "a whole number of 64 bits",
  [ScalarType.UINT64]: "a whole number of 64 bits, 0 or more",
  [ScalarType.INT32]: "a whole number of 32 bits",
  [ScalarType.FIXED64]: "a whole number of 64 bits, 0 or more",
  [ScalarType.FIXED32]: "a whole number of 32 bits, 0 or more",
  [ScalarType.BOOL]: "true or false",
  [ScalarType.STRING]: "a text in quotes",
  [ScalarType.BYTES]: "bytes in quotes",
  [ScalarType.UINT32]: "a whole number of 32 bits, 0 or more",
  [ScalarType.SFIXED32]: "a whole number of 32 bits",
  [ScalarType.SFIXED64]: "a whole number of 64 bits",
  [ScalarType.SINT32]: "a whole number of 32 bits",
  [ScalarType.SINT64]: "a whole number of 64 bits",
};

const bounds = (type: ScalarType): readonly [bigint, bigint] | undefined => {
  switch (type) {
    case ScalarType.INT32:
    case ScalarType.SINT32:
    case ScalarType.SFIXED32:
      return [-(2n ** 31n), 2n ** 31n - 1n];
    case ScalarType.UINT32:
    case ScalarType.FIXED32:
      return [0n, 2n ** 32n - 1n];
    case ScalarType.INT64:
    case ScalarType.SINT64:
    case ScalarType.SFIXED64:
      return [-(2n ** 63n), 2n ** 63n - 1n];
    case ScalarType.UINT64:
    case ScalarType.FIXED64:
      return [0n, 2n ** 64n - 1n];
    default:
      return undefined;
  }
};

const isLong = (type: ScalarType): boolean => (bounds(type)?.[1] ?? 0n) > 2n ** 32n;

/**
 * Reads a number or a word as a value of a scalar type: decimal, octal (`017`) and hexadecimal integers, floats, `inf`,
 * `nan`, and protobuf's words for booleans.
 * @param text without its sign.
 * @returns undefined where it is none. Integers of 64 bits are bigints.
 */
export const scalarValue = (
  type: ScalarType,
  text: string,
  negative: boolean,
): number | bigint | boolean | undefined => {
  if (type === ScalarType.BOOL) return negative ? undefined : booleans[text];
  if (type === ScalarType.DOUBLE || type === ScalarType.FLOAT) {
    const magnitude = floatOf(text);
    if (magnitude === undefined) return undefined;
    const value = negative ? -magnitude : magnitude;
    return type === ScalarType.FLOAT ? Math.fround(value) : value;
  }
  const range = bounds(type);
  const magnitude = integerOf(text);
  if (range === undefined || magnitude === undefined) return undefined;
  const value = negative ? -magnitude : magnitude;
  if (value < range[0] || value > range[1]) return undefined;
  return isLong(type) ? value : Number(value);
};

const booleans: Readonly<Record<string, boolean>> = {
  true: true,
  True: true,
  t: true,
  "1": true,
  false: false,
  False: false,
  f: false,
  "0": false,
};

const integerOf = (text: string): bigint | undefined => {
  if (/^0[xX][0-9a-fA-F]+$/.test(text) || /^(0|[1-9][0-9]*)$/.test(text)) return BigInt(text);
  return /^0[0-7]+$/.test(text) ? BigInt(`0o${text.slice(1)}`) : undefined;
};

const floatOf = (text: string): number | undefined => {
  const word = text.toLowerCase();
  if (word === "inf" || word === "infinity") return Number.POSITIVE_INFINITY;
  if (word === "nan") return Number.NaN;
  // Octal and hexadecimal texts are integers only.
  if (/^0[0-9]/.test(text) || /^0[xX]/.test(text)) return undefined;
  return /^[0-9.]/.test(text) ? Number(text.replace(/[fF]$/, "")) : undefined;
};
