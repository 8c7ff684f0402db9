import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, fromJson } from "@bufbuild/protobuf";
import { DuckDBInstance } from "@duckdb/node-api";
import { ValueType } from "@millrace/contracts/millrace/feature/v1/column";
import { FeatureRepositorySchema } from "@millrace/contracts/millrace/feature/v1/feature_repository";
import { EntityQuerySchema } from "@millrace/contracts/millrace/feature/v1/feature_service";
import {
  Data,
  Field,
  FixedSizeList,
  Float32,
  List,
  makeData,
  Table,
  TimestampMicrosecond,
  tableFromIPC,
  tableToIPC,
  Vector,
  vectorFromArray,
} from "apache-arrow";
import { afterAll, describe, expect, test } from "vitest";
import { compileRepository } from "../compile-repository.ts";
import type { Scalar } from "../compiled.ts";
import { atUs, everyType, type TypeName, typeNames } from "../stream/every-type.reference.ts";
import { arrowType } from "./arrow-columns.ts";
import { type TrainingSetOptions, trainingSet } from "./training-set.ts";

const folder = mkdtempSync(join(tmpdir(), "entity-row-types-"));
afterAll(() => rmSync(folder, { recursive: true }));

const asked = (name: TypeName): string => `asked_${name.toLowerCase()}`;

/** An on-demand view that gives back what it is asked with: a value of every type and a list of three of every type. */
const repository = compileRepository(
  fromJson(FeatureRepositorySchema, {
    entities: [{ name: "shop", keys: [{ name: "shop", type: "STRING" }] }],
    onDemandViews: [
      {
        name: "echo",
        request: typeNames.flatMap((name) => [
          { name: asked(name), type: name },
          { name: `${asked(name)}_list`, type: `${name}_LIST`, length: 3 },
        ]),
        features: typeNames.flatMap((name) => [
          { name: name.toLowerCase(), expression: asked(name) },
          { name: `${name.toLowerCase()}_list`, expression: `${asked(name)}_list` },
        ]),
      },
    ],
    featureServices: [{ name: "all", features: ["echo.*"] }],
  }),
);
const service = repository.services.get("all");
if (service === undefined) throw new Error("the repository lacks its service");

const listOf = (name: TypeName): Scalar => [everyType[name].value, null, everyType[name].value];

/** Every row is null but the first. */
const expected = typeNames.flatMap((name): [Scalar, Scalar][] => [
  [everyType[name].value, null],
  [listOf(name), null],
]);

const instants = (values: readonly (bigint | null)[]): Vector => {
  const data = BigInt64Array.from(values, (value) => value ?? 0n);
  const nullBitmap = Uint8Array.of(
    values.reduce<number>((bits, value, index) => bits | (value === null ? 0 : 1 << index), 0),
  );
  const type = new TimestampMicrosecond("UTC");
  return new Vector([
    makeData({ type, data, length: values.length, nullBitmap, nullCount: values.includes(null) ? 1 : 0 }),
  ]);
};

/** A column of one list and one null, whose elements are given. */
const listColumn = (elements: Vector): Vector => {
  const [child] = elements.data;
  if (child === undefined) throw new Error("no elements");
  return new Vector([
    makeData({
      type: new List(new Field("item", child.type, true)),
      valueOffsets: Int32Array.of(0, elements.length, elements.length),
      length: 2,
      nullBitmap: Uint8Array.of(1),
      nullCount: 1,
      child: child as Data,
    }),
  ]);
};

const columnOf = (name: TypeName): Record<string, Vector> => {
  const { value } = everyType[name];
  if (typeof value === "bigint" && name === "TIMESTAMP") {
    return {
      [asked(name)]: instants([value, null]),
      [`${asked(name)}_list`]: listColumn(instants([value, null, value])),
    };
  }
  const type = arrowType(ValueType[name]);
  return {
    [asked(name)]: vectorFromArray([value, null], type),
    [`${asked(name)}_list`]: listColumn(vectorFromArray([value, null, value], type)),
  };
};

const entityRows = (change: Record<string, Vector> = {}): TrainingSetOptions["entityRows"] => {
  const columns: Record<string, Vector> = { event_time: instants([atUs, atUs]) };
  for (const name of typeNames) Object.assign(columns, columnOf(name));
  return { arrow: tableToIPC(new Table({ ...columns, ...change }), "stream") };
};

const built = async (rows: TrainingSetOptions["entityRows"]): Promise<Table> => {
  const parts: Uint8Array[] = [];
  for await (const part of trainingSet({ repository, service, entityRows: rows, dataRoot: folder })) {
    if (part.kind === "arrow") parts.push(part.bytes);
  }
  return tableFromIPC(Buffer.concat(parts));
};

/** Arrow's reader gives instants in milliseconds. */
const scalarOf = (value: unknown, type: ValueType): Scalar => {
  if (value instanceof Vector) return Array.from(value, (element) => scalarOf(element, type));
  const isInstant = type === ValueType.TIMESTAMP || type === ValueType.TIMESTAMP_LIST;
  return isInstant && typeof value === "number" ? BigInt(Math.round(value * 1000)) : ((value ?? null) as Scalar);
};

const featuresOf = (table: Table): Scalar[][] =>
  service.features.map(({ fullName, type }) => [0, 1].map((row) => scalarOf(table.getChild(fullName)?.get(row), type)));

const writeRows = async (floats: string): Promise<void> => {
  const instance = await DuckDBInstance.create(":memory:");
  const connection = await instance.connect();
  const columns = typeNames.flatMap((name) => {
    const { sql, duckDb } = everyType[name];
    const list = name === "FLOAT" ? floats : `[${sql}, NULL, ${sql}]`;
    return [
      `CASE WHEN i = 0 THEN CAST(${sql} AS ${duckDb}) END AS ${asked(name)}`,
      `CASE WHEN i = 0 THEN CAST(${list} AS ${duckDb}[]) END AS ${asked(name)}_list`,
    ];
  });
  await connection.run(
    `COPY (SELECT make_timestamp(${atUs}) AS event_time, ${columns.join(", ")} FROM range(2) t(i)) TO '${join(folder, "rows.parquet")}' (FORMAT parquet)`,
  );
  connection.closeSync();
  instance.closeSync();
};

const query = create(EntityQuerySchema, { data: { case: "parquet", value: "rows.parquet" } });

describe("request fields of every type, and lists of every type", () => {
  test("come through Arrow entity rows as they were", async () => {
    expect(featuresOf(await built(entityRows()))).toEqual(expected);
  });

  test("come through entity rows in files as they were", async () => {
    await writeRows("[0.1::FLOAT, NULL, 0.1::FLOAT]");
    expect(featuresOf(await built({ query }))).toEqual(expected);
  });

  test("may be lists of fixed size in Arrow, and are lists in the training set", async () => {
    const type = new FixedSizeList(3, new Field("item", new Float32(), true));
    const [child] = vectorFromArray([1.5, 2.5, 3.5, 4.5, 5.5, 6.5], new Float32()).data;
    const fixed = new Vector([new Data(type, 0, 2, 0, {}, child === undefined ? [] : [child])]);
    const table = await built(entityRows({ asked_float_list: fixed }));
    const column = table.getChild("echo__float_list");
    expect([0, 1].map((row) => [...(column?.get(row) ?? [])])).toEqual([
      [1.5, 2.5, 3.5],
      [4.5, 5.5, 6.5],
    ]);
    expect(String(column?.type)).toBe("List<Float32>");
  });
});

describe("entity rows are refused", () => {
  test("when a list has another length than declared, naming column and row", async () => {
    const call = built(entityRows({ asked_float_list: listColumn(vectorFromArray([1, 2], new Float32())) }));
    await expect(call).rejects.toMatchObject({
      details: { violations: [{ field: "entity_rows.asked_float_list[0]", expected: "3 elements", got: "2" }] },
    });
  });

  test("when a list has elements of another type", async () => {
    const call = built(entityRows({ asked_int64_list: listColumn(vectorFromArray([1, 2, 3], new Float32())) }));
    await expect(call).rejects.toMatchObject({
      details: { violations: [{ field: "entity_rows.asked_int64_list", expected: "a column of type INT64_LIST" }] },
    });
  });

  test("when a list in files has another length than declared, naming the column", async () => {
    await writeRows("[0.1]");
    await expect(built({ query })).rejects.toThrow(
      "the entity rows: the list asked_float_list has another length than 3",
    );
  });
});
