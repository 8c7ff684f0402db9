import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { create, fromJson, type JsonObject, toBinary } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { DeadLetterSchema } from "@millrace/contracts/millrace/event/v1/event";
import { FeatureRepositorySchema } from "@millrace/contracts/millrace/feature/v1/feature_repository";
import avro from "avsc";
import { beforeAll, describe, expect, test } from "vitest";
import { compileRepository } from "../../compile-repository.ts";
import type { CompiledSource } from "../../compiled.ts";
import { DefinitionInvalidError } from "../../definition-invalid-error.ts";
import { SourceRecordReader } from "../source-record.ts";
import type { RegisteredSchema, SchemaRegistry } from "./framed-decoder.ts";

const noon = Date.UTC(2026, 0, 5, 12);
const noonUs = BigInt(noon) * 1000n;

/** The source `changes` of a repository with these parts. */
const sourceOf = (source: JsonObject): CompiledSource => {
  const repository = compileRepository(
    fromJson(FeatureRepositorySchema, { sources: [{ name: "changes", eventTime: "at", ...source }] }),
  );
  const compiled = repository.sources.get("changes");
  if (compiled === undefined) throw new Error("The source is missing.");
  return compiled;
};

const problemsOf = (source: JsonObject): readonly { readonly field: string }[] => {
  try {
    sourceOf(source);
    return [];
  } catch (error) {
    if (error instanceof DefinitionInvalidError) return error.problems;
    throw error;
  }
};

/** A record as it is read; its row as an object. */
const read = (source: CompiledSource, value: Uint8Array | null, reader = new SourceRecordReader(source)) => {
  const found = reader.read(value, noon * 1000);
  if (found === undefined || "reason" in found) return found;
  return Object.fromEntries(source.fields.map(({ name }, index) => [name, found.row[index]]));
};

const fields = [
  { name: "id", type: "INT64" },
  { name: "name", type: "STRING" },
  { name: "fare", type: "DOUBLE" },
  { name: "at", type: "TIMESTAMP" },
];

describe("a topic in Avro", () => {
  const schema = {
    type: "record",
    name: "Ride",
    fields: [
      { name: "id", type: "long" },
      { name: "name", type: ["null", "string"], default: null },
      {
        name: "fare",
        type: ["null", { type: "bytes", logicalType: "decimal", precision: 9, scale: 2 }],
        default: null,
      },
      { name: "at", type: { type: "long", logicalType: "timestamp-millis" } },
      { name: "tags", type: { type: "array", items: "string" }, default: [] },
      { name: "kind", type: { type: "enum", name: "Kind", symbols: ["POOL", "SOLO"] }, default: "SOLO" },
      { name: "blob", type: "bytes", default: "" },
      { name: "day", type: { type: "int", logicalType: "date" }, default: 0 },
      { name: "share", type: "float", default: 0 },
      { name: "known", type: { type: "long", "connect.name": "io.debezium.time.NanoTimestamp" }, default: 0 },
    ],
  } as const;
  const source = sourceOf({
    fields: [
      ...fields,
      { name: "tags", type: "STRING_LIST" },
      { name: "kind", type: "STRING" },
      { name: "blob", type: "BYTES" },
      { name: "day", type: "TIMESTAMP" },
      { name: "share", type: "FLOAT" },
      { name: "known", type: "TIMESTAMP" },
    ],
    stream: { topic: "rides", format: "AVRO", schema: JSON.stringify(schema) },
  });
  // The judge writes with the library's plain types, and knows nothing of times and decimals.
  const writer = avro.Type.forSchema(schema as unknown as avro.Schema, { wrapUnions: "never", logicalTypes: {} });
  const record = {
    id: 42,
    name: "žluť",
    fare: Buffer.from([0xff, 0x38]),
    at: noon,
    tags: ["a", ""],
    kind: "POOL",
    blob: Buffer.from([0, 255]),
    day: 20_458,
    share: 0.25,
    known: 1000,
  };

  test("is read with times in microseconds, decimals as numbers and unions as what they hold", () => {
    expect(read(source, writer.toBuffer(record))).toEqual({
      ...record,
      id: 42n,
      fare: -2,
      at: noonUs,
      blob: Uint8Array.of(0, 255),
      day: BigInt(Date.UTC(2026, 0, 5)) * 1000n,
      known: 1n,
    });
    const nulls = writer.toBuffer({ ...record, name: null, fare: null });
    expect(read(source, nulls)).toMatchObject({ name: null, fare: null });
  });

  test("keeps whole numbers of 64 bits", () => {
    const bytes = writer.toBuffer({ ...record, id: 0 });
    // The zigzag varint of the greatest whole number, in place of the zero at the beginning.
    const greatest = Buffer.concat([Buffer.from("feffffffffffffffff01", "hex"), bytes.subarray(1)]);
    expect(read(source, greatest)).toMatchObject({ id: 2n ** 63n - 1n });
  });

  test("refuses what is not of the schema, and says so", () => {
    const bytes = writer.toBuffer(record);
    for (const value of [bytes.subarray(0, 9), Buffer.concat([bytes, Buffer.from([1])]), Buffer.alloc(0)]) {
      expect(read(source, value)).toMatchObject({
        reason: "MALFORMED",
        detail: expect.stringContaining("Avro schema"),
      });
    }
    expect(read(source, null)).toMatchObject({ reason: "MALFORMED" });
  });

  test("needs a schema of a record that has the fields", () => {
    const stream = (text: string) => ({ topic: "rides", format: "AVRO", schema: text });
    expect(problemsOf({ fields, stream: stream("") })).toMatchObject([{ field: "sources[0].stream.schema" }]);
    expect(problemsOf({ fields, stream: stream("{") })).toMatchObject([{ field: "sources[0].stream.schema" }]);
    expect(problemsOf({ fields, stream: stream('"long"') })).toMatchObject([{ field: "sources[0].stream.schema" }]);
    const misspelt = [...fields, { name: "fares", type: "DOUBLE" }];
    expect(problemsOf({ fields: misspelt, stream: stream(JSON.stringify(schema)) })).toMatchObject([
      { field: "sources[0].fields[4].name", got: "fares" },
    ]);
  });
});

describe("a topic in Protobuf", () => {
  let descriptorSet = "";
  const letterFields = [
    { name: "topic", type: "STRING" },
    { name: "partition", type: "INT64" },
    { name: "offset", type: "INT64" },
    { name: "value", type: "BYTES" },
    { name: "value_absent", type: "BOOL" },
    { name: "rejected_at", type: "TIMESTAMP" },
    { name: "record_time", type: "TIMESTAMP" },
  ];
  const letterSource = (fieldsOfSource = letterFields, schema = "millrace.event.v1.DeadLetter") => ({
    fields: fieldsOfSource,
    eventTime: "rejected_at",
    stream: { topic: "letters", format: "PROTOBUF", schema, descriptorSet },
  });
  const bytes = toBinary(
    DeadLetterSchema,
    create(DeadLetterSchema, {
      topic: "a",
      offset: 2n ** 60n + 1n,
      value: Uint8Array.of(7),
      rejectedAt: timestampFromDate(new Date(noon + 1)),
    }),
  );

  beforeAll(async () => {
    const root = fileURLToPath(new URL("../../../../../", import.meta.url));
    const build = ["build", "--as-file-descriptor-set", "-o", "-#format=binpb", "--path", "proto/millrace/event"];
    const { stdout } = await promisify(execFile)(`${root}node_modules/.bin/buf`, build, {
      cwd: root,
      encoding: "buffer",
      maxBuffer: 64 * 1024 * 1024,
    });
    descriptorSet = stdout.toString("base64");
  });

  test("is read by its descriptors: what is not set is the type's zero, or null where it has presence", () => {
    expect(read(sourceOf(letterSource()), bytes)).toEqual({
      topic: "a",
      partition: 0n,
      offset: 2n ** 60n + 1n,
      value: Uint8Array.of(7),
      value_absent: false,
      rejected_at: noonUs + 1000n,
      record_time: null,
    });
  });

  test("refuses what is no such message", () => {
    for (const value of [bytes.subarray(0, bytes.length - 3), Uint8Array.of(0xff, 0xff)]) {
      expect(read(sourceOf(letterSource()), value)).toMatchObject({
        reason: "MALFORMED",
        detail: expect.stringContaining("millrace.event.v1.DeadLetter"),
      });
    }
  });

  test("needs descriptors that have the message and its fields", () => {
    const none = letterSource(letterFields, "millrace.event.v1.NoSuchMessage");
    expect(problemsOf(none)).toMatchObject([{ field: "sources[0].stream.schema" }]);
    const misspelt = letterSource([...letterFields, { name: "topics", type: "STRING" }]);
    expect(problemsOf(misspelt)).toMatchObject([{ field: "sources[0].fields[7].name", got: "topics" }]);
    const bare = { ...letterSource(), stream: { topic: "letters", format: "PROTOBUF", schema: "x" } };
    expect(problemsOf(bare)).toMatchObject([{ field: "sources[0].stream.descriptorSet" }]);
  });
});

/** A registry that knows these schemas, and counts how often it is asked. */
const registryOf = (schemas: Readonly<Record<number, RegisteredSchema>>): SchemaRegistry & { asked: number[] } => {
  const asked: number[] = [];
  return {
    asked,
    schema: async (id) => {
      asked.push(id);
      return schemas[id];
    },
  };
};

const framed = (id: number, ...parts: readonly Uint8Array[]): Uint8Array => {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(id, 1);
  return Buffer.concat([head, ...parts]);
};

describe("a topic whose records name their schema in a registry", () => {
  const framing = "SCHEMA_REGISTRY";

  test("in Avro: each is read by its own, fetched once, with the schemas that it refers to", async () => {
    const place = { type: "record", name: "Place", fields: [{ name: "city", type: "string" }] };
    const first = {
      type: "record",
      name: "Ride",
      fields: [
        { name: "id", type: "long" },
        { name: "at", type: "long" },
      ],
    };
    const second = {
      ...first,
      fields: [{ name: "place", type: "Place" }, ...first.fields, { name: "fare", type: "double" }],
    };
    const registry = registryOf({
      1: { format: "AVRO", text: JSON.stringify(first), references: [] },
      2: { format: "AVRO", text: JSON.stringify(second), references: [{ name: "Place", text: JSON.stringify(place) }] },
      3: { format: "JSON", text: "{}", references: [] },
    });
    const source = sourceOf({ fields, stream: { topic: "rides", format: "AVRO", framing } });
    const ofFirst = avro.Type.forSchema(first as avro.Schema).toBuffer({ id: 1, at: Number(noonUs) });
    const whole = { ...second, fields: [{ name: "place", type: place }, ...second.fields.slice(1)] };
    const ofSecond = avro.Type.forSchema(whole as avro.Schema).toBuffer({
      place: { city: "ams" },
      id: 2,
      at: Number(noonUs),
      fare: 2.5,
    });
    const values = [
      framed(1, ofFirst),
      framed(2, ofSecond),
      framed(1, ofFirst),
      framed(3, ofFirst),
      framed(4, ofFirst),
      ofFirst,
    ];
    const reader = new SourceRecordReader(source);
    await reader.prepare(values, registry);
    await reader.prepare(values, registry);
    expect(registry.asked).toEqual([1, 2, 3, 4]);
    const [one, two, again, otherFormat, unknown, bare] = values.map((value) => read(source, value, reader));
    expect(one).toEqual({ id: 1n, name: null, fare: null, at: noonUs });
    expect(two).toEqual({ id: 2n, name: null, fare: 2.5, at: noonUs });
    expect(again).toEqual(one);
    expect(otherFormat).toMatchObject({ detail: "a schema of AVRO was expected, 3 is one of JSON" });
    expect(unknown).toMatchObject({ detail: "the schema registry has no schema 4" });
    expect(bare).toMatchObject({ reason: "MALFORMED" });
  });

  test("in Protobuf: by the place of the message in its file, imports included", async () => {
    const common = 'syntax = "proto3"; package common; message Fare { double amount = 1; }';
    const paths = ["common.proto", "google/protobuf/timestamp.proto", "google/protobuf/wrappers.proto"];
    const imports = paths.map((path) => `import "${path}";`).join(" ");
    const text = `syntax = "proto3"; package rides; ${imports}
      message Other { string x = 1; }
      message Outer { message Ride { int64 id = 1; optional string name = 2; google.protobuf.DoubleValue fare = 3;
        google.protobuf.Timestamp at = 4; common.Fare whole = 5; } }`;
    const registry = registryOf({
      7: { format: "PROTOBUF", text, references: [{ name: "common.proto", text: common }] },
    });
    const source = sourceOf({
      fields,
      stream: { topic: "rides", format: "PROTOBUF", framing, schema: "rides.Outer.Ride" },
    });
    // id 150; fare { value 2.5 }; at { seconds }, written by hand from the wire format's description.
    const seconds = Buffer.from("08c0cceeca06", "hex");
    const message = Buffer.concat([
      Buffer.from("089601", "hex"),
      Buffer.from("1a09090000000000000440", "hex"),
      Buffer.from([0x22, seconds.length]),
      seconds,
    ]);
    const reader = new SourceRecordReader(source);
    // Two indices: message 1 of the file, message 0 in it.
    const values = [framed(7, Buffer.from([4, 2, 0]), message), framed(7, Buffer.from([0]), message), framed(7)];
    await reader.prepare(values, registry);
    const [ride, other, cut] = values.map((value) => read(source, value, reader));
    expect(ride).toEqual({ id: 150n, name: null, fare: 2.5, at: 1_767_614_016_000_000n });
    expect(other).toMatchObject({ detail: "schema 7: a rides.Outer.Ride was expected, it is a rides.Other" });
    expect(cut).toMatchObject({ reason: "MALFORMED" });
  });

  test("in JSON: what stands after the number", async () => {
    const registry = registryOf({ 5: { format: "JSON", text: "{}", references: [] } });
    const source = sourceOf({ fields, stream: { topic: "rides", format: "JSON", framing } });
    const reader = new SourceRecordReader(source);
    const value = framed(5, Buffer.from(`{"id":3,"at":${noonUs}}`));
    await reader.prepare([value], registry);
    expect(read(source, value, reader)).toMatchObject({ id: 3n, at: noonUs });
  });

  test("waits where the registry cannot be asked, and refuses nothing", async () => {
    const source = sourceOf({ fields, stream: { topic: "rides", format: "AVRO", framing } });
    const away: SchemaRegistry = { schema: () => Promise.reject(new Error("away")) };
    await expect(new SourceRecordReader(source).prepare([framed(1)], away)).rejects.toThrow("away");
  });
});

describe("a topic of Debezium's change events", () => {
  const changeFields = [...fields, { name: "gone", type: "BOOL" }];
  const stream = { topic: "rides", format: "JSON", envelope: "DEBEZIUM" };
  const source = sourceOf({ fields: changeFields, deleted: "gone", stream });
  const json = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value));
  const row = { id: 1, name: "a", fare: 2.5, at: Number(noonUs) };

  test.each(["c", "r", "u"])("takes the row after %s", (op) => {
    const change = json({ op, before: { id: 0 }, after: row, source: { ts_ms: noon } });
    expect(read(source, change)).toEqual({ ...row, id: 1n, at: noonUs, gone: false });
  });

  test("takes the row before a deletion, gone since the database said so", () => {
    const change = json({ op: "d", before: { id: 1 }, after: null, source: { ts_ms: noon }, ts_ms: noon + 5 });
    expect(read(source, change)).toEqual({ id: 1n, name: null, fare: null, at: noonUs, gone: true });
    const later = json({ op: "d", before: row, after: null, source: { ts_us: Number(noonUs) + 7 } });
    expect(read(source, later)).toMatchObject({ fare: 2.5, at: noonUs + 7n, gone: true });
  });

  test("passes over the record without a value that follows a deletion", () => {
    expect(read(source, null)).toBeUndefined();
  });

  test("reads times by the unit of the schema beside the event", () => {
    const field = (name: string, unit: string) => ({ field: name, type: "int64", name: unit });
    const after = { field: "after", type: "struct", fields: [field("at", "io.debezium.time.Timestamp")] };
    const change = { schema: { fields: [after] }, payload: { op: "c", before: null, after: { ...row, at: noon } } };
    expect(read(source, json(change))).toMatchObject({ at: noonUs });
    const nano = { ...after, fields: [field("at", "io.debezium.time.NanoTimestamp")] };
    const payload = { op: "c", after: { ...row, at: `${noonUs}123` } };
    const text = JSON.stringify({ schema: { fields: [nano] }, payload }).replace(`"${noonUs}123"`, `${noonUs}123`);
    expect(read(source, Buffer.from(text))).toMatchObject({ at: noonUs });
  });

  test("refuses what is no change of a row", () => {
    for (const value of [row, { op: "t" }, { op: "c", after: null }, { op: "d", before: null }, { op: 1 }]) {
      expect(read(source, json(value))).toMatchObject({ reason: "MALFORMED" });
    }
  });

  test("needs a BOOL field that says that the row is gone", () => {
    expect(problemsOf({ fields: changeFields, stream })).toMatchObject([{ field: "sources[0].deleted", got: "none" }]);
    expect(problemsOf({ fields: changeFields, deleted: "name", stream })).toMatchObject([
      { field: "sources[0].deleted", got: "name, of type STRING" },
    ]);
  });

  test("in Avro is an event in a record", () => {
    const avroRow = {
      type: "record",
      name: "Row",
      fields: [
        { name: "id", type: "long" },
        { name: "at", type: "long" },
      ],
    };
    const schema = {
      type: "record",
      name: "Envelope",
      fields: [
        { name: "before", type: ["null", avroRow], default: null },
        { name: "after", type: ["null", "Row"], default: null },
        { name: "op", type: "string" },
        { name: "ts_ms", type: ["null", "long"], default: null },
      ],
    };
    const inAvro = sourceOf({
      fields: changeFields,
      deleted: "gone",
      stream: { ...stream, format: "AVRO", schema: JSON.stringify(schema) },
    });
    const writer = avro.Type.forSchema(schema as avro.Schema, { wrapUnions: "never" });
    const created = writer.toBuffer({ before: null, after: { id: 1, at: Number(noonUs) }, op: "c", ts_ms: null });
    expect(read(inAvro, created)).toMatchObject({ id: 1n, at: noonUs, gone: false });
    const deleted = writer.toBuffer({ before: { id: 1, at: 5 }, after: null, op: "d", ts_ms: noon });
    expect(read(inAvro, deleted)).toMatchObject({ id: 1n, at: noonUs, gone: true });
  });
});
