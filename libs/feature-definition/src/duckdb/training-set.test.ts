import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, fromJson } from "@bufbuild/protobuf";
import { DuckDBInstance } from "@duckdb/node-api";
import { FeatureRepositorySchema } from "@millrace/contracts/millrace/feature/v1/feature_repository";
import { AsOf, EntityQuerySchema } from "@millrace/contracts/millrace/feature/v1/feature_service";
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
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { stringify } from "yaml";
import { compileRepository } from "../compile-repository.ts";
import { ColumnInvalidError } from "./column-invalid-error.ts";
import { EngineFailedError } from "./engine-failed-error.ts";
import { SourceDataInvalidError } from "./source-data-invalid-error.ts";
import { type TrainingSetOptions, trainingSet } from "./training-set.ts";
import { writeTrainingSet } from "./write-training-set.ts";

const definitions = {
  entities: [{ name: "city", keys: [{ name: "city", type: "STRING" }] }],
  sources: [
    {
      name: "trips",
      fields: [
        { name: "city", type: "STRING" },
        { name: "riders", type: "INT64" },
        { name: "at", type: "TIMESTAMP" },
      ],
      eventTime: "at",
      batch: { parquet: "trips-*.parquet" },
    },
  ],
  featureViews: [
    {
      name: "demand",
      entity: "city",
      source: "trips",
      aggregates: [
        { name: "trips", function: "COUNT", window: "1h" },
        { name: "riders", function: "SUM", of: "riders", window: "1h" },
      ],
    },
    { name: "last", entity: "city", source: "trips", features: [{ name: "at" }] },
  ],
  onDemandViews: [
    {
      name: "request",
      request: [{ name: "asked", type: "TIMESTAMP" }],
      inputs: ["demand.riders"],
      features: [
        { name: "hour", expression: "extract(hour FROM asked)" },
        { name: "share", expression: "1.0 / demand__riders" },
      ],
    },
  ],
  featureServices: [{ name: "all", features: ["demand.*", "last.*", "request.*"] }],
};
const repository = compileRepository(fromJson(FeatureRepositorySchema, definitions));

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "training-set-"));
  await sql(
    `COPY (SELECT 'ams' AS city, 2::INTEGER AS riders, TIMESTAMPTZ '2026-01-05 10:00:00+00' AS "at") TO '${folder}/trips-1.parquet'`,
    `COPY (SELECT * FROM (VALUES ('ams', 3, TIMESTAMPTZ '2026-01-05 10:10:00+00'), ('ber', 0, TIMESTAMPTZ '2026-01-05 10:10:00+00')) t(city, riders, "at")) TO '${folder}/trips-2.parquet'`,
    `COPY (SELECT * FROM (VALUES ('ber', TIMESTAMP '2026-01-05 10:30:00', 1, 'x', {'deep': 1}), ('ams', TIMESTAMP '2026-01-05 10:30:00', 2, NULL, NULL),
       ('ams', TIMESTAMP '2026-01-05 10:05:00', 3, 'z', NULL), (NULL, TIMESTAMP '2026-01-05 10:05:00', 4, 'z', NULL)) t(city, event_time, "Label", note, nested)) TO '${folder}/rows.parquet'`,
  );
});
afterAll(() => rm(folder, { recursive: true }));

const sql = async (...statements: string[]) => {
  const instance = await DuckDBInstance.create(":memory:");
  const connection = await instance.connect();
  try {
    await connection.run("SET TimeZone = 'UTC'");
    let rows: unknown[][] = [];
    for (const statement of statements) rows = (await connection.runAndReadAll(statement)).getRowsJS();
    return rows;
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
};

const service = (name: string, from = repository) => {
  const found = from.services.get(name);
  if (found === undefined) throw new Error(name);
  return found;
};

const query = create(EntityQuerySchema, {
  data: { case: "parquet", value: "rows.parquet" },
  columns: { asked: "event_time" },
  extra: { label: `"Label" * 10`, note: "note" },
});

const built = async (options: Partial<TrainingSetOptions> = {}) => {
  const parts: Uint8Array[] = [];
  let summary: { rows: number; snapshotId: string; newestEventUs: bigint | undefined } | undefined;
  const all = { repository, service: service("all"), entityRows: { query }, dataRoot: folder, ...options };
  for await (const part of trainingSet(all)) {
    if (part.kind === "arrow") parts.push(part.bytes);
    if (part.kind === "summary") summary = part;
  }
  const bytes = Buffer.concat(parts);
  return {
    bytes,
    summary,
    rows: tableFromIPC(bytes)
      .toArray()
      .map((row) => ({ ...row?.toJSON() })),
  };
};

const arrowRows = (extra: Record<string, Vector> = {}) => {
  const times = BigInt64Array.from([1767609000000000n, 1767609000000000n]);
  const instants = () =>
    new Vector([makeData({ type: new TimestampMicrosecond("UTC"), data: times.slice(), length: 2 })]);
  return tableToIPC(
    new Table({
      city: vectorFromArray(["ber", "ams"], new Utf8()),
      event_time: instants(),
      asked: instants(),
      ...extra,
    }),
    "stream",
  );
};

describe("a training set", () => {
  test("has its rows in the order of the data, extra columns before the features", async () => {
    const { rows, summary } = await built();
    expect(
      rows.map(({ label, note, demand__trips, demand__riders, request__hour }) => [
        label,
        note,
        demand__trips,
        demand__riders,
        request__hour,
      ]),
    ).toEqual([
      [10n, "x", 1n, 0n, 10n],
      [20n, null, 2n, 5n, 10n],
      [30n, "z", 1n, 2n, 10n],
      [40n, "z", 0n, null, 10n],
    ]);
    expect(rows[2]?.last__at).toBe(Date.UTC(2026, 0, 5, 10));
    expect(summary?.rows).toBe(4);
    expect(summary?.newestEventUs).toBe(1767607800000000n);
  });

  test("gives null where one row has no result, and the other rows their values", async () => {
    expect((await built()).rows.map(({ request__share }) => request__share)).toEqual([null, 0.2, 0.5, null]);
  });

  test("can be ordered by event time, ties in the order of the data", async () => {
    const ordered = create(EntityQuerySchema, { ...query, orderByEventTime: true, where: "note IS NOT NULL" });
    const { rows } = await built({ entityRows: { query: ordered } });
    expect(rows.map(({ label }) => label)).toEqual([30n, 40n, 10n]);
  });

  test("keeps Arrow columns as they came", async () => {
    const note = vectorFromArray(["first", "second"]);
    const { rows } = await built({ entityRows: { arrow: arrowRows({ note }) } });
    expect(rows.map((row) => [row.city, row.note, row.demand__trips])).toEqual([
      ["ber", "first", 1n],
      ["ams", "second", 2n],
    ]);
  });

  test("of no rows has the schema all the same", async () => {
    const none = create(EntityQuerySchema, { ...query, where: "FALSE" });
    const { bytes, summary } = await built({ entityRows: { query: none } });
    expect(summary?.rows).toBe(0);
    expect(tableFromIPC(bytes).schema.fields.map(({ name }) => name)).toContain("demand__riders");
  });

  test("has an id for its inputs: the same for the same, another for others", async () => {
    const id = async (options?: Partial<TrainingSetOptions>) => (await built(options)).summary?.snapshotId;
    const first = await id();
    expect(await id()).toBe(first);
    expect(await id({ asOf: AsOf.KNOWN_AT })).not.toBe(first);
    expect(await id({ entityRows: { query: create(EntityQuerySchema, { ...query, where: "TRUE" }) } })).not.toBe(first);
  });

  test("is the same to the byte when it is asked to be deterministic", async () => {
    const [one, two] = [await built({ deterministic: true }), await built({ deterministic: true })];
    expect(one.bytes.equals(two.bytes)).toBe(true);
  });

  test("stops when its caller gives up", async () => {
    await expect(built({ signal: AbortSignal.abort(new Error("enough")) })).rejects.toThrow("enough");
  });
});

describe("a training set is refused", () => {
  test("when entity rows lack a column, naming it", async () => {
    const lacking = create(EntityQuerySchema, { ...query, columns: { city: "town" }, extra: { x: "nope" } });
    const error = await built({ entityRows: { query: lacking } }).catch((reason: unknown) => reason);
    if (!(error instanceof ColumnInvalidError)) throw error;
    expect(error.details.violations?.map(({ field }) => field)).toEqual([
      'entity_rows.query.columns["city"]',
      'entity_rows.query.columns["asked"]',
      'entity_rows.query.extra["x"]',
    ]);
  });

  test("when an Arrow column has another type, or bytes are no Arrow", async () => {
    const wrong = arrowRows({ city: vectorFromArray([1.5, 2.5]) });
    await expect(built({ entityRows: { arrow: wrong } })).rejects.toThrow(
      "entity_rows.city: expected a column of type STRING",
    );
    await expect(built({ entityRows: { arrow: new Uint8Array([1, 2, 3, 4, 5, 6, 7, 8]) } })).rejects.toThrow(
      ColumnInvalidError,
    );
  });

  test("when a path leads out of the data root, or to nothing", async () => {
    const at = (value: string) => ({
      query: create(EntityQuerySchema, { ...query, data: { case: "parquet", value } }),
    });
    await expect(built({ entityRows: at("../rows.parquet") })).rejects.toThrow("a path below the data root");
    await expect(built({ entityRows: at("none-*.parquet") })).rejects.toThrow(SourceDataInvalidError);
  });

  test("when a sum leaves 64 bits, naming the view", async () => {
    await sql(
      `COPY (SELECT 'ams' AS city, 9223372036854775807 AS riders, TIMESTAMP '2026-01-05 10:00:00' + i * INTERVAL 1 SECOND AS "at" FROM range(2) r(i)) TO '${folder}/huge.parquet'`,
    );
    const [source] = definitions.sources;
    const huge = compileRepository(
      fromJson(FeatureRepositorySchema, {
        ...definitions,
        sources: [{ ...source, batch: { parquet: "huge.parquet" } }],
      }),
    );
    const building = built({ repository: huge, service: service("all", huge) });
    await expect(building).rejects.toThrow(EngineFailedError);
    await expect(building).rejects.toThrow("the SUM demand.riders is beyond INT64");
  });
});

describe("a training set written into a file", () => {
  test("keeps every column of the entities, of whatever type", async () => {
    const { onDemandViews, featureServices, ...stored } = definitions;
    expect(onDemandViews.length + featureServices.length).toBe(2);
    const repositoryFolder = await mkdtemp(join(folder, "repository-"));
    await writeFile(
      join(repositoryFolder, "all.yaml"),
      stringify({ ...stored, featureServices: [{ name: "s", features: ["demand.*", "last.at"] }] }),
    );
    const outParquet = join(folder, "out.parquet");
    const written = await writeTrainingSet({
      repositoryFolder,
      dataRoot: folder,
      service: "s",
      entitiesParquet: join(folder, "rows.parquet"),
      asOf: AsOf.EVENT_TIME,
      outParquet,
    });
    expect(written.rows).toBe(4);
    const rows = await sql(
      `SELECT "Label", nested.deep, demand__trips, demand__riders, strftime(last__at, '%H:%M') FROM '${outParquet}'`,
    );
    expect(rows).toEqual([
      [1, 1, 1n, 0n, "10:10"],
      [2, null, 2n, 5n, "10:10"],
      [3, null, 1n, 2n, "10:00"],
      [4, null, 0n, null, null],
    ]);
  });
});
