import { avroDecoder } from "./avro-decoder.ts";
import { jsonDecoder } from "./json-decoder.ts";
import { protobufDecoder, typeName, typeOfText } from "./protobuf-decoder.ts";
import { type Members, type RecordDecoder, RecordMalformedError, StreamSchemaInvalidError } from "./record-decoder.ts";

export type RegisteredFormat = "JSON" | "AVRO" | "PROTOBUF";

/** A schema that a registry knows. */
export interface RegisteredSchema {
  readonly format: RegisteredFormat;
  readonly text: string;
  /** The schemas that it refers to, by the name that it has for each; those that others refer to first. */
  readonly references: readonly { readonly name: string; readonly text: string }[];
}

/** Where the schemas of records are found by their number. */
export interface SchemaRegistry {
  /** Undefined where there is none of this number. @throws where the registry cannot be asked. */
  schema(id: number): Promise<RegisteredSchema | undefined>;
}

const headBytes = 5;

/**
 * Records that begin with a zero byte and the number of their schema, in four bytes, as Confluent's serializers write them:
 * https://docs.confluent.io/platform/current/schema-registry/fundamentals/serdes-develop/index.html#wire-format. Schemas
 * are fetched by `prepare` and kept: a number always means the same schema.
 */
export class FramedDecoder implements RecordDecoder {
  readonly names = undefined;
  readonly #format: RegisteredFormat;
  /** The message that a record must be; any where it is empty. */
  readonly #messageName: string;
  readonly #schemas = new Map<number, RegisteredSchema | undefined>();
  /** By number, and for Protobuf by the place of the message. */
  readonly #decoders = new Map<string, RecordDecoder | StreamSchemaInvalidError>();

  constructor(format: RegisteredFormat, messageName: string) {
    this.#format = format;
    this.#messageName = messageName;
  }

  /** Has the schemas that these records need. @throws where the registry cannot be asked. */
  async prepare(values: Iterable<Uint8Array | null>, registry: SchemaRegistry): Promise<void> {
    const lacking = new Set<number>();
    for (const value of values) {
      const id = value === null ? undefined : schemaId(value);
      if (id !== undefined && !this.#schemas.has(id)) lacking.add(id);
    }
    for (const id of lacking) this.#schemas.set(id, await registry.schema(id));
  }

  decode(value: Uint8Array): Members {
    const id = schemaId(value);
    if (id === undefined) {
      throw new RecordMalformedError("a zero byte and the number of a schema were expected at the beginning");
    }
    const schema = this.#schemas.get(id);
    if (schema === undefined) throw new RecordMalformedError(`the schema registry has no schema ${id}`);
    if (schema.format !== this.#format) {
      throw new RecordMalformedError(`a schema of ${this.#format} was expected, ${id} is one of ${schema.format}`);
    }
    if (this.#format === "JSON") return jsonDecoder.decode(value.subarray(headBytes));
    const { place, end } = this.#format === "PROTOBUF" ? messagePlace(value) : { place: [], end: headBytes };
    const name = `${id} ${place.join()}`;
    let decoder = this.#decoders.get(name);
    if (decoder === undefined) {
      decoder = this.#decoderOf(schema, place);
      this.#decoders.set(name, decoder);
    }
    if (decoder instanceof StreamSchemaInvalidError) throw new RecordMalformedError(`schema ${id}: ${decoder.message}`);
    return decoder.decode(value.subarray(end));
  }

  #decoderOf(
    { text, references }: RegisteredSchema,
    place: readonly number[],
  ): RecordDecoder | StreamSchemaInvalidError {
    try {
      if (this.#format === "AVRO") {
        return avroDecoder(
          text,
          references.map((reference) => reference.text),
        );
      }
      const imports = references.map(({ name, text: imported }) => ({ path: name, text: imported }));
      const type = typeOfText({ text, imports }, place);
      if (this.#messageName === "" || typeName(type) === this.#messageName) return protobufDecoder(type);
      return new StreamSchemaInvalidError(`a ${this.#messageName} was expected, it is a ${typeName(type)}`);
    } catch (error) {
      if (error instanceof StreamSchemaInvalidError) return error;
      throw error;
    }
  }
}

const schemaId = (value: Uint8Array): number | undefined => {
  if (value.length < headBytes || value[0] !== 0) return undefined;
  return new DataView(value.buffer, value.byteOffset, value.byteLength).getUint32(1);
};

/** The place of the message in its file, and where it ends: a count and so many indices; a zero alone is the first. */
const messagePlace = (value: Uint8Array): { readonly place: readonly number[]; readonly end: number } => {
  let end = headBytes;
  const next = (): number => {
    let number = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = value[end++];
      if (byte === undefined) break;
      number += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return number % 2 === 0 ? number / 2 : -(number + 1) / 2;
    }
    throw new RecordMalformedError("the place of the message in its schema was expected after the schema's number");
  };
  const count = next();
  if (count < 0 || count > 16) throw new RecordMalformedError(`a message ${count} messages deep was not expected`);
  const place = count === 0 ? [0] : Array.from({ length: count }, next);
  return { place, end };
};
