import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fromJson } from "@bufbuild/protobuf";
import { DuckDBInstance } from "@duckdb/node-api";
import { FeatureRepositorySchema } from "@millrace/contracts/millrace/feature/v1/feature_repository";
import {
  makeData,
  Table,
  TimestampMicrosecond,
  tableFromIPC,
  tableToIPC,
  Utf8,
  Vector,
  vectorFromArray,
} from "apache-arrow";
import { afterAll, describe, expect, test } from "vitest";
import { compileRepository } from "../compile-repository.ts";
import type { Scalar } from "../compiled.ts";
import { trainingSet } from "../duckdb/index.ts";
import { createViewStream } from "./create-view-stream.ts";
import { SourceRecordReader } from "./source-record.ts";
import { writeSourceRecord } from "./write-source-record.ts";

const folder = mkdtempSync(join(tmpdir(), "value-types-"));
afterAll(() => rmSync(folder, { recursive: true }));

const atUs = BigInt(Date.UTC(2001, 0, 10)) * 1000n;

/** A value of every type, the list of it, and how DuckDB writes the two. */
const types = {
  BOOL: { value: true, sql: "true", duckDb: "BOOLEAN" },
  INT64: { value: -(2n ** 62n), sql: "-4611686018427387904", duckDb: "BIGINT" },
  DOUBLE: { value: 0.1, sql: "0.1::DOUBLE", duckDb: "DOUBLE" },
  FLOAT: { value: Math.fround(0.1), sql: "0.1::FLOAT", duckDb: "FLOAT" },
  STRING: { value: "Zürich \u{1f600}", sql: "'Zürich \u{1f600}'", duckDb: "VARCHAR" },
  BYTES: { value: Uint8Array.of(0, 255), sql: "'\\x00\\xFF'::BLOB", duckDb: "BLOB" },
  TIMESTAMP: { value: atUs + 7n, sql: "make_timestamp(979084800000007)", duckDb: "TIMESTAMP" },
} satisfies Record<string, { value: Scalar; sql: string; duckDb: string }>;
const names = Object.keys(types) as (keyof typeof types)[];

const repository = compileRepository(
  fromJson(FeatureRepositorySchema, {
    entities: [{ name: "shop", keys: [{ name: "shop", type: "STRING" }] }],
    sources: [
      {
        name: "facts",
        fields: [
          { name: "shop", type: "STRING" },
          { name: "at", type: "TIMESTAMP" },
          ...names.map((name) => ({ name: name.toLowerCase(), type: name })),
          ...names.map((name) => ({ name: `${name.toLowerCase()}_list`, type: `${name}_LIST`, length: 3 })),
        ],
        eventTime: "at",
        batch: { parquet: "facts.parquet" },
        stream: { topic: "facts", format: "JSON" },
      },
    ],
    featureViews: [
      {
        name: "last",
        entity: "shop",
        source: "facts",
        features: names.flatMap((name) => [
          { name: name.toLowerCase(), type: name },
          { name: `${name.toLowerCase()}_list`, type: `${name}_LIST`, length: 3 },
        ]),
      },
    ],
    featureServices: [{ name: "all", features: ["last.*"] }],
  }),
);
const source = repository.sources.get("facts");
const view = repository.views.get("last");
const service = repository.services.get("all");
if (source === undefined || view === undefined || service === undefined) throw new Error("the repository lacks a part");

const lists: Scalar[] = names.map((name) => [types[name].value, null, types[name].value]);
const row: Scalar[] = ["a", atUs, ...names.map((name) => types[name].value), ...lists];
const expected = names.flatMap((name, index): Scalar[] => [types[name].value, lists[index] ?? null]);

async function writeFacts(listSql: (name: keyof typeof types) => string): Promise<void> {
  const instance = await DuckDBInstance.create(":memory:");
  const connection = await instance.connect();
  const columns = names.flatMap((name) => [
    `CAST(${types[name].sql} AS ${types[name].duckDb}) AS ${name.toLowerCase()}`,
    `CAST(${listSql(name)} AS ${types[name].duckDb}[]) AS ${name.toLowerCase()}_list`,
  ]);
  await connection.run(
    `COPY (SELECT 'a' AS shop, make_timestamp(${atUs}) AS at, ${columns.join(", ")}) TO '${join(folder, "facts.parquet")}' (FORMAT parquet)`,
  );
  connection.closeSync();
  instance.closeSync();
}

async function offline(): Promise<Scalar[]> {
  const data = BigInt64Array.of(atUs + 1n);
  const rows = new Table({
    shop: vectorFromArray(["a"], new Utf8()),
    event_time: new Vector([makeData({ type: new TimestampMicrosecond("UTC"), data, length: 1 })]),
  });
  const parts: Uint8Array[] = [];
  if (service === undefined) throw new Error("no service");
  const entityRows = { arrow: tableToIPC(rows, "stream") };
  for await (const part of trainingSet({ repository, service, entityRows, dataRoot: folder })) {
    if (part.kind === "arrow") parts.push(part.bytes);
  }
  const table = tableFromIPC(Buffer.concat(parts));
  return service.features.map(({ fullName, type }) => scalarOf(table.getChild(fullName)?.get(0), type));
}

/** Arrow's reader gives instants in milliseconds. */
const scalarOf = (value: unknown, type: number): Scalar => {
  if (value instanceof Vector) return Array.from(value, (element) => scalarOf(element, type));
  const isInstant = [7, 17].includes(type);
  return isInstant && typeof value === "number" ? BigInt(Math.round(value * 1000)) : ((value ?? null) as Scalar);
};

describe("a value of every type, and a list of every type", () => {
  test("comes out of the stream as it went in", () => {
    const read = new SourceRecordReader(source).read(writeSourceRecord(source, row), Number(atUs));
    if ("reason" in read) throw new Error(read.detail);
    expect(read.row).toEqual(row);
    const stream = createViewStream(view);
    const bytes = stream.fold(undefined, [{ ...read, partition: 0, offset: 0, origin: 1 }]);
    const served = stream.serve(bytes, Number(atUs) + 1, { nowUs: 0, withExpiredValues: false });
    expect(served.values).toEqual(expected);
  });

  test("comes out of the offline engine the same", async () => {
    await writeFacts((name) => `[${types[name].sql}, NULL, ${types[name].sql}]`);
    expect(await offline()).toEqual(expected);
  });
});

describe("a list of another length than declared", () => {
  test("is malformed in a stream", () => {
    const short = [...row.slice(0, -1), [atUs]];
    const read = new SourceRecordReader(source).read(writeSourceRecord(source, short), Number(atUs));
    expect(read).toEqual({ reason: "MALFORMED", detail: "timestamp_list: 3 elements were expected, got 1" });
  });

  test("stops a training set, and names source and column", async () => {
    await writeFacts((name) => (name === "FLOAT" ? "[0.1]" : `[${types[name].sql}, NULL, ${types[name].sql}]`));
    await expect(offline()).rejects.toThrow(/the source facts has a list float_list of another length than 3/);
  });

  test("may be null", () => {
    const none = [...row.slice(0, -1), null];
    expect(new SourceRecordReader(source).read(writeSourceRecord(source, none), Number(atUs))).toMatchObject({
      row: none,
    });
  });
});
