import avro from "avsc";
import { connectTimes } from "./connect-times.ts";
import { type Members, type RecordDecoder, RecordMalformedError, StreamSchemaInvalidError } from "./record-decoder.ts";

/** How many of a unit a microsecond is, or the other way round, by Avro's logical types of times. */
const times: Readonly<Record<string, (count: bigint) => bigint>> = {
  "timestamp-millis": (count) => count * 1000n,
  "timestamp-micros": (count) => count,
  "timestamp-nanos": (count) => count / 1000n,
  "local-timestamp-millis": (count) => count * 1000n,
  "local-timestamp-micros": (count) => count,
  "local-timestamp-nanos": (count) => count / 1000n,
};

/** Whole numbers of 64 bits as bigint: the library's own type refuses those beyond 2^53. */
const longType = (read: (count: bigint) => bigint): avro.types.LongType =>
  avro.types.LongType.__with({
    fromBuffer: (buffer: Buffer) => read(buffer.readBigInt64LE()),
    toBuffer: () => {
      throw new TypeError("This type only reads.");
    },
    fromJSON: BigInt,
    toJSON: String,
    isValid: (value: unknown) => typeof value === "bigint",
    compare: (first: bigint, second: bigint) => (first === second ? 0 : first < second ? -1 : 1),
  });

const longs = longType((count) => count);
const timeTypes = new Map(Object.entries(times).map(([name, read]) => [name, longType(read)]));

/** DECIMAL is a number: what the type DOUBLE of a field can hold. */
class Decimal extends avro.types.LogicalType {
  readonly #scale: number;

  constructor(schema: avro.Schema, options?: object) {
    super(schema, options);
    const scale: unknown = typeof schema === "object" ? Reflect.get(schema, "scale") : undefined;
    this.#scale = typeof scale === "number" ? scale : 0;
  }

  protected override _fromValue(bytes: Buffer): number {
    const unscaled = bytes.length === 0 ? 0n : BigInt.asIntN(bytes.length * 8, BigInt(`0x${bytes.toString("hex")}`));
    // Read as a decimal text, so that the nearest DOUBLE comes out and not a quotient of two.
    return Number(`${unscaled}e-${this.#scale}`);
  }

  protected override _toValue(): undefined {
    return undefined;
  }
}

/** Dates are days: a field of TIMESTAMP takes their midnight, UTC. */
class Midnight extends avro.types.LogicalType {
  protected override _fromValue(days: number): bigint {
    return BigInt(days) * 86_400_000_000n;
  }
  protected override _toValue(): undefined {
    return undefined;
  }
}

/**
 * Records in Avro's binary encoding (https://avro.apache.org/docs/1.12.0/specification/). Times become microseconds,
 * also those that Kafka Connect and Debezium mark by a name of their own.
 * @param schema the writer's, as JSON. @param references schemas of the named types in it. @throws StreamSchemaInvalidError where it is none, or no record.
 */
export const avroDecoder = (schema: string, references: readonly string[] = []): RecordDecoder => {
  let type: avro.Type;
  try {
    const options = {
      registry: { long: longs },
      logicalTypes: { decimal: Decimal, date: Midnight },
      wrapUnions: "never" as const,
      typeHook: longOf,
    };
    // Named types stay in the registry, where later schemas find them.
    for (const reference of references) avro.Type.forSchema(withoutDefaults(reference), options);
    type = avro.Type.forSchema(withoutDefaults(schema), options);
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error);
    throw new StreamSchemaInvalidError(`the schema is no schema of Avro: ${detail.slice(0, 200)}`);
  }
  if (!(type instanceof avro.types.RecordType)) {
    throw new StreamSchemaInvalidError(`the schema is of a ${type.typeName}, where a record is wanted`);
  }
  return {
    names: type.fields.map(({ name }) => name),
    decode: (value) => {
      try {
        return type.fromBuffer(Buffer.from(value.buffer, value.byteOffset, value.byteLength)) as Members;
      } catch (error) {
        const detail = error instanceof Error ? error.message : String(error);
        throw new RecordMalformedError(`a record of the Avro schema was expected: ${detail.slice(0, 200)}`);
      }
    },
  };
};

/** Defaults are for readers of other schemas than the writer's; the library would check them against our own types. */
const withoutDefaults = (schema: string): avro.Schema =>
  JSON.parse(schema, function (this: object, key: string, value: unknown) {
    return key === "default" && "name" in this && "type" in this ? undefined : value;
  });

/** A type for what is declared as a long with more to say: a time, by Avro's word or by Connect's. */
const longOf = (schema: avro.Schema): avro.Type | undefined => {
  if (typeof schema !== "object" || schema === null || Reflect.get(schema, "type") !== "long") return undefined;
  const connectName = String(Reflect.get(schema, "connect.name"));
  return timeTypes.get(String(Reflect.get(schema, "logicalType") ?? connectTimes[connectName])) ?? longs;
};
