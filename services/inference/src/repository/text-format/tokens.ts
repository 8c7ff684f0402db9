import { TextFormatError } from "./text-format-error.ts";

/** One piece of a text. Numbers keep their text: what it means depends on the field. */
export interface Token {
  readonly kind: "name" | "number" | "string" | "symbol" | "end";
  /** As it was written; for a string with its quotes. */
  readonly text: string;
  /** What a string stands for; empty for the others. */
  readonly bytes: Uint8Array;
  readonly line: number;
  readonly column: number;
}

const none = new Uint8Array(0);
const utf8 = new TextEncoder();

const skipped = /(?:[ \t\r\n\v\f]+|#[^\n]*)+/y;
const namePattern = /[A-Za-z_][A-Za-z0-9_]*/y;
/** A float with a point or an exponent, a hexadecimal, an octal or a decimal: the longest that fits. */
const numberPattern =
  /(?:0[xX][0-9a-fA-F]+|(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?[fF]?|[0-9]+[eE][+-]?[0-9]+[fF]?|[0-9]+[fF]?)/y;
const symbols = "{}<>[]:,;-/.";

/**
 * Splits a text of the protobuf text format into tokens. Comments begin with `#`.
 * @throws TextFormatError
 */
export const tokensOf = (file: string, text: string): Token[] => {
  const tokens: Token[] = [];
  let at = 0;
  let line = 1;
  let lineStart = 0;
  const advance = (to: number) => {
    for (let place = at; place < to; place++) {
      if (text.charCodeAt(place) === 10) {
        line++;
        lineStart = place + 1;
      }
    }
    at = to;
  };
  const match = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = at;
    return pattern.exec(text)?.[0];
  };
  for (;;) {
    const space = match(skipped);
    if (space !== undefined) advance(at + space.length);
    const place = { line, column: at - lineStart + 1 };
    const add = (kind: Token["kind"], length: number, bytes: Uint8Array = none) => {
      tokens.push({ kind, text: text.slice(at, at + length), bytes, ...place });
      advance(at + length);
    };
    const character = text[at];
    if (character === undefined) {
      tokens.push({ kind: "end", text: "", bytes: none, ...place });
      return tokens;
    }
    const name = match(namePattern);
    const number = name === undefined ? match(numberPattern) : undefined;
    if (name !== undefined) add("name", name.length);
    else if (number !== undefined) {
      const after = text[at + number.length];
      if (after !== undefined && /[A-Za-z0-9_.]/.test(after)) {
        throw new TextFormatError(file, place, "a number", `${number}${after}`);
      }
      add("number", number.length);
    } else if (character === '"' || character === "'") {
      const { length, bytes } = readString(file, text, at, place);
      add("string", length, bytes);
    } else if (symbols.includes(character)) add("symbol", 1);
    else throw new TextFormatError(file, place, "a name, a value or a bracket", JSON.stringify(character));
  }
};

const simpleEscapes: Readonly<Record<string, number>> = {
  a: 7,
  b: 8,
  f: 12,
  n: 10,
  r: 13,
  t: 9,
  v: 11,
  "?": 63,
  "\\": 92,
  "'": 39,
  '"': 34,
};

const readString = (
  file: string,
  text: string,
  start: number,
  place: { readonly line: number; readonly column: number },
): { length: number; bytes: Uint8Array } => {
  const quote = text[start];
  const parts: Uint8Array[] = [];
  const wrong = (at: number, expected: string, got: string) =>
    new TextFormatError(file, { line: place.line, column: place.column + at - start }, expected, got);
  let at = start + 1;
  for (;;) {
    let plain = at;
    while (plain < text.length && text[plain] !== quote && text[plain] !== "\\" && text[plain] !== "\n") plain++;
    if (plain > at) parts.push(utf8.encode(text.slice(at, plain)));
    at = plain;
    if (text[at] === quote) return { length: at + 1 - start, bytes: Buffer.concat(parts) };
    if (text[at] !== "\\")
      throw wrong(at, `${quote} at the end of the text`, at < text.length ? "a new line" : "the end");
    const match =
      /^\\(?:([abfnrtv?\\'"])|([0-7]{1,3})|[xX]([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8}))/.exec(
        text.slice(at, at + 10),
      );
    if (match === null) throw wrong(at, 'an escape such as \\n, \\", \\101, \\x41 or \\u0041', text.slice(at, at + 2));
    const [written, simple, octal, hexadecimal, short, long] = match;
    const code = short ?? long;
    if (simple !== undefined) parts.push(Uint8Array.of(simpleEscapes[simple] ?? 0));
    else if (code !== undefined) {
      const point = Number.parseInt(code, 16);
      if (point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff)) {
        throw wrong(at, "a Unicode code point that is no surrogate", written);
      }
      parts.push(utf8.encode(String.fromCodePoint(point)));
    } else {
      const byte = octal === undefined ? Number.parseInt(hexadecimal ?? "", 16) : Number.parseInt(octal, 8);
      if (byte > 255) throw wrong(at, "an octal escape up to \\377", written);
      parts.push(Uint8Array.of(byte));
    }
    at += written.length;
  }
};
