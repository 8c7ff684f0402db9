import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { BodyInvalidError } from "./body-invalid-error.ts";
import { type JsonValue, notFinite, parseJson } from "./parse-json.ts";
import { type WritableJson, writeJson } from "./write-json.ts";

const seed = Number(process.env.MILLRACE_SEED ?? Date.now() % 2 ** 31);
const parse = (text: string) => parseJson(Buffer.from(text));

/** What was read, with numbers in place of marked words. */
const plain = (value: JsonValue): unknown => {
  const number = notFinite(value);
  if (number !== undefined) return number;
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, plain(each)]));
};

const number = fc.oneof(
  fc.double(),
  fc.integer(),
  // What a double cannot hold; what it can is a number, whoever wrote it.
  fc
    .bigInt({ min: -(2n ** 63n), max: 2n ** 64n - 1n })
    .filter((value) => value > Number.MAX_SAFE_INTEGER || value < Number.MIN_SAFE_INTEGER),
);
const text = fc.string({ unit: "grapheme" });
const json = fc.letrec((tie) => ({
  value: fc.oneof({ depthSize: "small" }, number, text, fc.boolean(), fc.constant(null), tie("array"), tie("object")),
  array: fc.array(tie("value")),
  object: fc.dictionary(
    text.filter((key) => key !== "__proto__"),
    tie("value"),
    { noNullPrototype: true },
  ),
})).value;

describe("JSON", () => {
  test("is read as it was written, with 64-bit integers exact and with NaN and the infinities", () => {
    fc.assert(
      fc.property(json, (value) => {
        const written = writeJson(value as WritableJson);
        // -0 is written as 0.
        expect(plain(parse(written))).toEqual(normal(value));
      }),
      { seed, numRuns: 1000 },
    );
  });

  test("keeps words of strings, and quotes within them, as they are", () => {
    expect(plain(parse(String.raw`{"NaN \"": ["NaN", "-Infinity\\", NaN, -Inf, Infinity, "Inf"]}`))).toEqual({
      'NaN "': ["NaN", "-Infinity\\", Number.NaN, -Infinity, Infinity, "Inf"],
    });
  });

  test("of digits without end is read in time that grows with its length", () => {
    expect(parse(`[${"9".repeat(1_000_000)}]`)).toEqual([Number.POSITIVE_INFINITY]);
  });

  test.each([
    ["nothing", ""],
    ["half an object", '{"a":'],
    ["a word of no meaning", "[Nothing]"],
    ["a word beside others", "[NaN NaN]"],
    ["arrays that never end", "[".repeat(100_000)],
    ["an open string", '["NaN'],
  ])("is refused where it is %s", (_, text) => {
    expect(() => parse(text)).toThrow(BodyInvalidError);
  });

  test("is refused where it is no UTF-8", () => {
    expect(() => parseJson(Uint8Array.of(0x22, 0xff, 0x22))).toThrow(/UTF-8/);
  });
});

const normal = (value: unknown): unknown => {
  // A double that is written in so many digits is an integer of them.
  if (typeof value === "number" && Number.isInteger(value) && !Number.isSafeInteger(value) && Math.abs(value) < 1e20) {
    return BigInt(String(value));
  }
  if (Object.is(value, -0)) return 0;
  if (Array.isArray(value)) return value.map(normal);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, normal(each)]));
};

test("words for numbers that are not finite are bounded, since each takes far more memory than text", () => {
  const many = `[${"NaN,".repeat(1_000_000)}NaN]`;
  expect(() => parse(many)).toThrow(/^body: expected at most 1000000 times NaN or Infinity/);
  expect(parse(`[${"NaN,".repeat(1000)}NaN]`)).toHaveLength(1001);
});
