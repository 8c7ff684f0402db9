import { create, type DescField, type DescMessage, type MessageShape, ScalarType } from "@bufbuild/protobuf";
import { type ReflectMessage, reflect } from "@bufbuild/protobuf/reflect";
import { expectedOf, scalarValue } from "./scalar-value.ts";
import { TextFormatError } from "./text-format-error.ts";
import { type Token, tokensOf } from "./tokens.ts";

/** Nested deeper than this no configuration is; it bounds the stack. */
const maxDepth = 64;

/**
 * Reads a message from the protobuf text format, as protobuf's own readers do, and as strictly: an unknown field, a field
 * or a oneof that is given twice and a value that does not fit are errors with their line. Extensions and expanded `Any`
 * are not read.
 * @param file what errors call the text.
 * @throws TextFormatError
 * @see https://protobuf.dev/reference/protobuf/textformat-spec/
 */
export const parseTextFormat = <Desc extends DescMessage>(
  schema: Desc,
  file: string,
  text: string,
): MessageShape<Desc> => {
  const message = reflect(schema, create(schema));
  new Parser(file, tokensOf(file, text)).fieldsInto(message, undefined, 0);
  return message.message as MessageShape<Desc>;
};

type ScalarField = { readonly scalar: ScalarType; readonly name: string };

class Parser {
  readonly #file: string;
  readonly #tokens: readonly Token[];
  #at = 0;

  constructor(file: string, tokens: readonly Token[]) {
    this.#file = file;
    this.#tokens = tokens;
  }

  /** Reads fields until the closing bracket, which is taken; until the end of the text where there is none. */
  fieldsInto(message: ReflectMessage, closing: string | undefined, depth: number): void {
    if (depth > maxDepth) throw this.#wrong(this.#here, `at most ${maxDepth} messages inside of each other`, "more");
    const seen = new Set<string>();
    for (;;) {
      const token = this.#take();
      if (closing === undefined ? token.kind === "end" : token.text === closing && token.kind === "symbol") return;
      if (token.kind !== "name") {
        throw this.#wrong(token, closing === undefined ? "a field" : `a field or ${closing}`, shown(token));
      }
      const field = message.desc.fields.find(({ name }) => name === token.text);
      if (field === undefined) {
        const names = message.desc.fields.map(({ name }) => name).join(", ");
        throw this.#wrong(token, `a field of ${message.desc.name} (${names})`, token.text);
      }
      if (field.fieldKind !== "list" && field.fieldKind !== "map") {
        const choice = field.oneof === undefined ? field.name : field.oneof.name;
        if (seen.has(choice)) {
          throw this.#wrong(token, `${choice} at most once`, `${field.name}${choice === field.name ? " again" : ""}`);
        }
        seen.add(choice);
      }
      this.#field(message, field, depth);
      if (this.#here.kind === "symbol" && (this.#here.text === "," || this.#here.text === ";")) this.#at++;
    }
  }

  #field(message: ReflectMessage, field: DescField, depth: number): void {
    const holdsMessages =
      field.fieldKind === "message" ||
      field.fieldKind === "map" ||
      (field.fieldKind === "list" && field.listKind === "message");
    const colon = this.#takeSymbol(":");
    if (!colon && !holdsMessages) throw this.#wrong(this.#here, `: after ${field.name}`, shown(this.#here));
    const list = field.fieldKind === "list" || field.fieldKind === "map";
    if (!list || !this.#takeSymbol("[")) {
      this.#value(message, field, depth);
      return;
    }
    if (this.#takeSymbol("]")) return;
    for (;;) {
      this.#value(message, field, depth);
      if (this.#takeSymbol("]")) return;
      if (!this.#takeSymbol(",")) throw this.#wrong(this.#here, ", or ]", shown(this.#here));
    }
  }

  #value(message: ReflectMessage, field: DescField, depth: number): void {
    switch (field.fieldKind) {
      case "scalar":
        message.set(field, this.#scalar(field));
        return;
      case "enum":
        message.set(field, this.#enum(field));
        return;
      case "message":
        message.set(field, this.#message(field.message, depth));
        return;
      case "map":
        this.#mapEntry(message, field, depth);
        return;
      case "list": {
        const list = message.get(field);
        switch (field.listKind) {
          case "scalar":
            list.add(this.#scalar(field));
            return;
          case "enum":
            list.add(this.#enum(field));
            return;
          case "message":
            list.add(this.#message(field.message, depth));
        }
      }
    }
  }

  #message(desc: DescMessage, depth: number): ReflectMessage {
    const message = reflect(desc, create(desc));
    this.fieldsInto(message, this.#openBracket(desc.name), depth + 1);
    return message;
  }

  /** A map is written as entries of a key and a value; the later of two equal keys counts. */
  #mapEntry(message: ReflectMessage, field: DescField & { fieldKind: "map" }, depth: number): void {
    const closing = this.#openBracket(`an entry of ${field.name}`);
    let key: string | number | bigint | boolean | undefined;
    let value: unknown;
    for (;;) {
      const token = this.#take();
      if (token.kind === "symbol" && token.text === closing) break;
      const twice = token.text === "key" ? key !== undefined : value !== undefined;
      if (token.kind !== "name" || (token.text !== "key" && token.text !== "value") || twice) {
        throw this.#wrong(token, `key and value, each once, or ${closing}`, shown(token));
      }
      const colon = this.#takeSymbol(":");
      if (!colon && !(token.text === "value" && field.mapKind === "message")) {
        throw this.#wrong(this.#here, `: after ${token.text}`, shown(this.#here));
      }
      if (token.text === "key") {
        key = this.#scalar({ name: `a key of ${field.name}`, scalar: field.mapKey }) as
          | string
          | number
          | bigint
          | boolean;
      } else if (field.mapKind === "message") value = this.#message(field.message, depth);
      else if (field.mapKind === "enum") value = this.#enum(field);
      else value = this.#scalar(field);
      if (!this.#takeSymbol(",")) this.#takeSymbol(";");
    }
    message.get(field).set(key ?? emptyKey(field.mapKey), value ?? emptyValue(field));
  }

  #scalar(field: ScalarField): string | Uint8Array | number | bigint | boolean {
    const expected = `${expectedOf[field.scalar]} for ${field.name}`;
    const start = this.#here;
    if (field.scalar === ScalarType.STRING || field.scalar === ScalarType.BYTES) {
      const parts: Uint8Array[] = [];
      while (this.#here.kind === "string") parts.push(this.#take().bytes);
      if (parts.length === 0) throw this.#wrong(start, expected, shown(start));
      const bytes = new Uint8Array(Buffer.concat(parts));
      if (field.scalar === ScalarType.BYTES) return bytes;
      try {
        return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
      } catch {
        throw this.#wrong(start, `UTF-8 for ${field.name}`, "other bytes");
      }
    }
    const negative = this.#takeSymbol("-");
    const token = this.#take();
    const value =
      token.kind === "number" || token.kind === "name" ? scalarValue(field.scalar, token.text, negative) : undefined;
    if (value === undefined) throw this.#wrong(start, expected, `${negative ? "-" : ""}${shown(token)}`);
    return value;
  }

  #enum({ name, enum: desc }: { readonly name: string; readonly enum: NonNullable<DescField["enum"]> }): number {
    const negative = this.#takeSymbol("-");
    const token = this.#take();
    const number = token.kind === "number" ? scalarValue(ScalarType.INT32, token.text, negative) : undefined;
    const value = desc.values.find((value) =>
      token.kind === "name" && !negative ? value.name === token.text : value.number === number,
    );
    if (value === undefined) {
      throw this.#wrong(token, `${desc.values.map(({ name }) => name).join(", ")} for ${name}`, shown(token));
    }
    return value.number;
  }

  /** @returns the bracket that closes. */
  #openBracket(what: string): string {
    if (this.#takeSymbol("{")) return "}";
    if (this.#takeSymbol("<")) return ">";
    throw this.#wrong(this.#here, `{ before the fields of ${what}`, shown(this.#here));
  }

  get #here(): Token {
    const token = this.#tokens[this.#at];
    if (token === undefined) throw new RangeError("The tokens have no end.");
    return token;
  }

  #take(): Token {
    const token = this.#here;
    if (token.kind !== "end") this.#at++;
    return token;
  }

  #takeSymbol(text: string): boolean {
    const { kind, text: own } = this.#here;
    if (kind !== "symbol" || own !== text) return false;
    this.#at++;
    return true;
  }

  #wrong(token: Token, expected: string, got: string): TextFormatError {
    return new TextFormatError(this.#file, token, expected, got);
  }
}

const shown = ({ kind, text }: Token): string => (kind === "end" ? "the end of the file" : text);

const emptyKey = (type: ScalarType): string | number | bigint | boolean => {
  if (type === ScalarType.STRING) return "";
  return type === ScalarType.BOOL ? false : (scalarValue(type, "0", false) ?? 0);
};

const emptyValue = (field: DescField & { fieldKind: "map" }): unknown => {
  switch (field.mapKind) {
    case "message":
      return reflect(field.message, create(field.message));
    case "enum":
      return field.enum.values[0]?.number ?? 0;
    default:
      return field.scalar === ScalarType.BYTES ? new Uint8Array(0) : emptyKey(field.scalar);
  }
};
