import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fromJson } from "@bufbuild/protobuf";
import { DuckDBInstance } from "@duckdb/node-api";
import { ValueType } from "@millrace/contracts/millrace/feature/v1/column";
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
import { atUs, everyType, type TypeName, typeNames } from "./every-type.reference.ts";
import { SourceRecordReader } from "./source-record.ts";
import { writeSourceRecord } from "./write-source-record.ts";

const folder = mkdtempSync(join(tmpdir(), "value-types-"));
afterAll(() => rmSync(folder, { recursive: true }));

const repository = compileRepository(
  fromJson(FeatureRepositorySchema, {
    entities: [{ name: "shop", keys: [{ name: "shop", type: "STRING" }] }],
    sources: [
      {
        name: "facts",
        fields: [
          { name: "shop", type: "STRING" },
          { name: "at", type: "TIMESTAMP" },
          ...typeNames.map((name) => ({ name: name.toLowerCase(), type: name })),
          ...typeNames.map((name) => ({ name: `${name.toLowerCase()}_list`, type: `${name}_LIST`, length: 3 })),
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
        features: typeNames.flatMap((name) => [
          { name: name.toLowerCase(), type: name },
          { name: `${name.toLowerCase()}_list`, type: `${name}_LIST`, length: 3 },
        ]),
      },
      {
        name: "window",
        entity: "shop",
        source: "facts",
        maxBytesPerKey: 1_000_000,
        aggregates: typeNames.flatMap((name) => {
          const of = name.toLowerCase();
          return [
            { name: `last_${of}`, function: "LAST", of, window: "1h" },
            { name: `first_${of}_list`, function: "FIRST", of: `${of}_list`, window: "1h" },
            { name: `last_two_${of}`, function: "LAST_N", n: 2, of, window: "1h" },
            { name: `lists_of_${of}`, function: "COUNT", of: `${of}_list`, window: "1h" },
          ];
        }),
      },
    ],
    featureServices: [{ name: "all", features: ["last.*", "window.*"] }],
  }),
);
const source = repository.sources.get("facts");
const views = [...repository.views.values()];
const service = repository.services.get("all");
if (source === undefined || service === undefined) throw new Error("the repository lacks a part");

const lists: Scalar[] = typeNames.map((name) => [everyType[name].value, null, everyType[name].value]);
const row: Scalar[] = ["a", atUs, ...typeNames.map((name) => everyType[name].value), ...lists];
const expected = [
  ...typeNames.flatMap((name, index): Scalar[] => [everyType[name].value, lists[index] ?? null]),
  ...typeNames.flatMap((name, index): Scalar[] => {
    const { value } = everyType[name];
    return [value, lists[index] ?? null, [value], 1n];
  }),
];

async function writeFacts(listSql: (name: TypeName) => string): Promise<void> {
  const instance = await DuckDBInstance.create(":memory:");
  const connection = await instance.connect();
  const columns = typeNames.flatMap((name) => [
    `CAST(${everyType[name].sql} AS ${everyType[name].duckDb}) AS ${name.toLowerCase()}`,
    `CAST(${listSql(name)} AS ${everyType[name].duckDb}[]) AS ${name.toLowerCase()}_list`,
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
const scalarOf = (value: unknown, type: ValueType): Scalar => {
  if (value instanceof Vector) return Array.from(value, (element) => scalarOf(element, type));
  const isInstant = type === ValueType.TIMESTAMP || type === ValueType.TIMESTAMP_LIST;
  return isInstant && typeof value === "number" ? BigInt(Math.round(value * 1000)) : ((value ?? null) as Scalar);
};

describe("a value of every type, and a list of every type", () => {
  test("comes out of the stream as it went in", () => {
    const read = new SourceRecordReader(source).read(writeSourceRecord(source, row), Number(atUs));
    if (read === undefined || "reason" in read) throw new Error(JSON.stringify(read));
    expect(read.row).toEqual(row);
    const served = views.flatMap((view) => {
      const stream = createViewStream(view);
      const bytes = stream.fold(undefined, [{ ...read, partition: 0, offset: 0, origin: 1 }]);
      return stream.serve(bytes, Number(atUs) + 1, { nowUs: 0, withExpiredValues: false }).values;
    });
    expect(served).toEqual(expected);
  });

  test("comes out of the offline engine the same", async () => {
    await writeFacts((name) => `[${everyType[name].sql}, NULL, ${everyType[name].sql}]`);
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
    await writeFacts((name) => (name === "FLOAT" ? "[0.1]" : `[${everyType[name].sql}, NULL, ${everyType[name].sql}]`));
    await expect(offline()).rejects.toThrow(/the source facts: the list float_list has another length than 3/);
  });

  test("may be null", () => {
    const none = [...row.slice(0, -1), null];
    expect(new SourceRecordReader(source).read(writeSourceRecord(source, none), Number(atUs))).toMatchObject({
      row: none,
    });
  });
});
