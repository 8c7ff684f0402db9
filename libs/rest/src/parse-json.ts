import { isUtf8 } from "node:buffer";
import { randomUUID } from "node:crypto";
import { BodyInvalidError } from "./body-invalid-error.ts";

/** A JSON object as it was read. */
export interface JsonObject {
  readonly [key: string]: JsonValue;
}

/** A JSON value as it was read: an integer that a double would round is a bigint. */
export type JsonValue = null | boolean | number | bigint | string | readonly JsonValue[] | JsonObject;

/** An integer of so many digits that a double may not hold it. In a string it costs time and does no harm. */
const longInteger = /(?:^|[[,:\s-])\d{16,}(?=[\s,\]}]|$)/;

/**
 * Reads a JSON text. Beside the standard's, Triton's clients write `NaN`, `Infinity` and `-Infinity` where a number
 * stands, which Python's encoder does and Triton reads: see `notFinite`.
 * @throws BodyInvalidError
 */
export const parseJson = (bytes: Uint8Array): JsonValue => {
  if (!isUtf8(bytes)) throw new BodyInvalidError("body", "JSON in UTF-8", "bytes that are not UTF-8");
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString();
  try {
    return parseExactly(text);
  } catch (error) {
    const marked = markWords(text);
    if (marked === undefined) throw malformed(error);
    try {
      return parseExactly(marked);
    } catch {
      throw malformed(error);
    }
  }
};

/** @throws BodyInvalidError where the body is no JSON object. An empty one stands for an empty object. */
export const parseObject = (bytes: Uint8Array): JsonObject => {
  if (bytes.byteLength === 0) return {};
  const value = parseJson(bytes);
  if (!isObject(value)) throw new BodyInvalidError("body", "a JSON object", describe(value));
  return value;
};

export const isObject = (value: JsonValue | undefined): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** The number that a bare `NaN`, `Infinity` or `-Infinity` in the text stands for; undefined for any other value. */
export const notFinite = (value: JsonValue): number | undefined => {
  if (!isObject(value)) return undefined;
  const word = value[mark];
  return typeof word === "string" ? words.get(word) : undefined;
};

/** A value for an error's text, short. */
export const describe = (value: JsonValue | undefined): string => {
  if (value === undefined) return "nothing";
  if (Array.isArray(value)) return `an array of ${value.length}`;
  if (typeof value === "string") return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}…` : value);
  if (typeof value === "object" && value !== null) return String(notFinite(value) ?? "an object");
  return String(value);
};

/** The key of the object that a bare word becomes: no text that comes in can have it by chance or by guess. */
const mark = randomUUID();
/** Each takes many times its length while it is read. */
const maxWords = 1_000_000;
const words = new Map([
  ["NaN", Number.NaN],
  ["Infinity", Number.POSITIVE_INFINITY],
  ["Inf", Number.POSITIVE_INFINITY],
  ["-Infinity", Number.NEGATIVE_INFINITY],
  ["-Inf", Number.NEGATIVE_INFINITY],
]);

type Reviver = (this: unknown, key: string, value: JsonValue, context: { readonly source?: string }) => JsonValue;

const parseExactly = (text: string): JsonValue => {
  if (!longInteger.test(text)) return JSON.parse(text);
  const exact: Reviver = (_key, value, { source }) => {
    if (typeof value !== "number" || Number.isSafeInteger(value) || source === undefined) return value;
    // 64 bits have 20 digits at most; what is longer fits no datatype, and would cost the square of its length.
    return /^-?\d{16,20}$/.test(source) ? BigInt(source) : value;
  };
  return JSON.parse(text, exact as (key: string, value: unknown) => unknown);
};

/** The text with an object in place of each bare word outside of strings; undefined where there is none. */
const markWords = (text: string): string | undefined => {
  const parts: string[] = [];
  let done = 0;
  for (let at = 0; at < text.length; ) {
    const next = /["NI]/g;
    next.lastIndex = at;
    const found = next.exec(text);
    if (found === null) break;
    at = found.index;
    if (found[0] === '"') {
      at = endOfString(text, at + 1);
      continue;
    }
    const start = text[at - 1] === "-" ? at - 1 : at;
    const word = ["-Infinity", "-Inf", "Infinity", "Inf", "NaN"].find((word) => text.startsWith(word, start));
    if (word === undefined) return undefined;
    if (parts.length >= 2 * maxWords) {
      throw new BodyInvalidError(
        "body",
        `at most ${maxWords} times NaN or Infinity in JSON, which are read one by one; more as binary_data`,
        "more",
      );
    }
    parts.push(text.slice(done, start), `{"${mark}":"${word}"}`);
    done = start + word.length;
    at = done;
  }
  return parts.length === 0 ? undefined : parts.join("") + text.slice(done);
};

/** The place after the quote that ends a string. */
const endOfString = (text: string, from: number): number => {
  for (let at = from; ; ) {
    const quote = text.indexOf('"', at);
    if (quote < 0) return text.length;
    let escapes = 0;
    while (text[quote - 1 - escapes] === "\\") escapes++;
    if (escapes % 2 === 0) return quote + 1;
    at = quote + 1;
  }
};

const malformed = (error: unknown): BodyInvalidError =>
  error instanceof RangeError
    ? new BodyInvalidError("body", "JSON", "arrays or objects within each other too deep to be read")
    : new BodyInvalidError("body", "JSON", error instanceof Error ? error.message : "something else");
