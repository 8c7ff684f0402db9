import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, fromJson, type JsonObject } from "@bufbuild/protobuf";
import { type BackingServer, hasBacking, startPostgres } from "@millrace/backing";
import { FeatureRepositorySchema } from "@millrace/contracts/millrace/feature/v1/feature_repository";
import { EntityQuerySchema } from "@millrace/contracts/millrace/feature/v1/feature_service";
import { tableFromIPC } from "apache-arrow";
import { Client } from "pg";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { BatchRows, countBatchRows, trainingSet } from "../src/duckdb/index.ts";
import { compileRepository } from "../src/index.ts";

const everyTime = { fromUs: Number.NEGATIVE_INFINITY, toUs: Number.POSITIVE_INFINITY };
const at = BigInt(Date.UTC(2001, 0, 15, 12)) * 1000n + 7n;

/** Every type: the SQL of two values, and what a row has to hold of them. The third row is null everywhere. */
const types: Readonly<Record<string, readonly [string, string, unknown, unknown]>> = {
  bool: ["true", "false", true, false],
  int64: ["(-4611686018427387904)::int8", "3::int8", -(2n ** 62n), 3n],
  small: ["7::int2", "-7::int2", 7n, -7n],
  double: ["0.1::float8", "'NaN'::float8", 0.1, Number.NaN],
  infinite: ["'Infinity'::float8", "'-Infinity'::float8", Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY],
  numeric: ["12345678901234567890.125", "-0.5", Number("12345678901234567890"), -0.5],
  float: ["0.1::float4", "(-2)::float4", Math.fround(0.1), -2],
  string: [`'Zürich, "😀"' || chr(10) || '\\N;'`, "''", 'Zürich, "😀"\n\\N;', ""],
  mood: ["'sad'::mood", "'glad'::mood", "sad", "glad"],
  bytes: ["'\\x00ff'::bytea", "''::bytea", Buffer.of(0, 255), Buffer.of()],
  timestamp: ["'2001-01-15 13:00:00.000007+01'::timestamptz", "'1969-12-31 23:59:59.999999+00'::timestamptz", at, -1n],
  wall: ["'2001-01-15 12:00:00.000007'::timestamp", "'1969-12-31 23:59:59.999999'::timestamp", at, -1n],
  day: ["'1970-01-02'::date", "'0001-01-01'::date", 86_400_000_000n, -62_135_596_800_000_000n],
  bools: ["ARRAY[true, NULL]", "ARRAY[]::bool[]", [true, null], []],
  int64s: ["ARRAY[1, NULL, 9007199254740993]::int8[]", "ARRAY[2]::int8[]", [1n, null, 9007199254740993n], [2n]],
  doubles: ["ARRAY[0.1, 'NaN', NULL]::float8[]", "ARRAY['-Infinity']::float8[]", [0.1, Number.NaN, null], [-Infinity]],
  floats: ["ARRAY[0.1, -2]::float4[]", "ARRAY[]::float4[]", [Math.fround(0.1), -2], []],
  strings: [`ARRAY['a,"b"', NULL, '', 'NULL']`, "ARRAY['x']", ['a,"b"', null, "", "NULL"], ["x"]],
  byteses: ["ARRAY['\\x00ff', NULL]::bytea[]", "ARRAY[]::bytea[]", [Buffer.of(0, 255), null], []],
  timestamps: [
    "ARRAY['2001-01-15 12:00:00.000007+00', NULL]::timestamptz[]",
    "ARRAY['1970-01-01']::timestamptz[]",
    [at, null],
    [0n],
  ],
};
const fieldTypes: Readonly<Record<string, string>> = {
  small: "INT64",
  infinite: "DOUBLE",
  numeric: "DOUBLE",
  mood: "STRING",
  wall: "TIMESTAMP",
  day: "TIMESTAMP",
  byteses: "BYTES_LIST",
};
const typeOf = (name: string): string =>
  fieldTypes[name] ?? (name.endsWith("s") && name !== "bytes" ? `${name.slice(0, -1)}_LIST` : name).toUpperCase();

const sourceOf = (query: string, fields: JsonObject[]): JsonObject => {
  const all = [{ name: "shop", type: "STRING" }, { name: "happened_at", type: "TIMESTAMP" }, ...fields];
  return {
    name: "facts",
    fields: all,
    eventTime: "happened_at",
    batch: { sql: { connection: "warehouse", query } },
  };
};

const repositoryOf = (source: JsonObject) =>
  compileRepository(
    fromJson(FeatureRepositorySchema, {
      entities: [{ name: "shop", keys: [{ name: "shop", type: "STRING" }] }],
      sources: [source],
      featureViews: [
        {
          name: "sales",
          entity: "shop",
          source: "facts",
          aggregates: [{ name: "count_1h", function: "COUNT", window: "1h" }],
        },
      ],
      featureServices: [{ name: "all", features: ["sales.*"] }],
    }),
  );

const compiledSource = (source: JsonObject) => {
  const found = repositoryOf(source).sources.get("facts");
  if (found === undefined) throw new Error("no source");
  return found;
};

describe.skipIf(!hasBacking("postgres"))("a sql source on PostgreSQL", { timeout: 60_000 }, () => {
  let server: BackingServer;
  let client: Client;
  let folder: string;
  let sqlConnectionsFile: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "sql-source-"));
    sqlConnectionsFile = join(folder, "connections");
    server = await startPostgres();
    await writeFile(
      sqlConnectionsFile,
      [
        `warehouse=${server.url}`,
        "away=postgres://someone:hidden-word@127.0.0.1:1/none",
        `nobody=${server.url.replace("millrace@", "nobody:hidden-word@")}`,
        "other=mysql://someone:hidden-word@127.0.0.1/none",
      ].join("\n"),
    );
    client = new Client({ connectionString: server.url });
    await client.connect();
    const names = Object.keys(types);
    const rowOf = (place: 0 | 1 | undefined) =>
      names.map((name) => (place === undefined ? "NULL" : types[name]?.[place])).join(", ");
    await client.query(`
      CREATE TYPE mood AS ENUM ('sad', 'glad');
      CREATE TABLE every_type AS
        SELECT s.shop, '2001-01-15 12:00:00+00'::timestamptz AS happened_at, v.*
        FROM (SELECT 1 AS place, ${names.map((name) => `${types[name]?.[0]} AS "${name}"`).join(", ")}
              UNION ALL SELECT 2, ${rowOf(1)} UNION ALL SELECT 3, ${rowOf(undefined)}) v
        JOIN (VALUES (1, 'a'), (2, 'b'), (3, 'c')) s(place, shop) USING (place);
      CREATE TABLE sales (shop text, happened_at timestamptz, amount int);
      INSERT INTO sales SELECT 'shop ' || i % 7, '2001-01-15'::timestamptz + i * interval '7 minutes', i
        FROM generate_series(1, 1000) i;
    `);
  }, 60_000);
  afterAll(async () => {
    await client.end();
    await server.remove();
    await rm(folder, { recursive: true });
  });

  /** What is left behind is seen, whatever other tests leave beside it; Node looks at the variable each time. */
  const ownTemporaryFolder = async (): Promise<string> => {
    const own = await mkdtemp(join(folder, "tmp-"));
    vi.stubEnv("TMPDIR", own);
    return own;
  };
  afterEach(() => {
    vi.unstubAllEnvs();
  });

  const location = () => ({ dataRoot: folder, sqlConnectionsFile });
  const sales = sourceOf("SELECT shop, happened_at, amount FROM sales", [{ name: "amount", type: "INT64" }]);

  const rowsOf = async (source: JsonObject, times = everyTime, first = 0) => {
    const data = await BatchRows.open(compiledSource(source), location(), times);
    try {
      const rows = [];
      for await (const chunk of data.read(first)) rows.push(...chunk);
      return { rows, snapshot: data.snapshot, summary: await data.summary() };
    } finally {
      data.close();
    }
  };

  test("gives every type as it is, nulls, quotes and line ends included", async () => {
    const fields = Object.keys(types).map((name) => ({ name, type: typeOf(name) }));
    const { rows } = await rowsOf(sourceOf("SELECT * FROM every_type", fields));
    expect(rows).toHaveLength(3);
    Object.entries(types).forEach(([name, [, , first, second]], index) => {
      expect
        .soft(
          rows.map(({ row }) => row[index + 2]),
          name,
        )
        .toEqual([first, second, null]);
    });
  });

  test("gives the same rows in the same order however the table holds them, and another snapshot for others", async () => {
    const before = await rowsOf(sales);
    expect(before.rows.map(({ ordinal }) => ordinal)).toEqual(before.rows.map((_row, index) => index));
    await client.query(
      "CREATE TABLE turned AS SELECT * FROM sales ORDER BY amount DESC; ALTER TABLE sales RENAME TO kept; ALTER TABLE turned RENAME TO sales",
    );
    const after = await rowsOf(sales);
    expect(after).toEqual(before);
    await client.query("UPDATE sales SET amount = 1001 WHERE amount = 500");
    expect((await rowsOf(sales)).snapshot).not.toBe(before.snapshot);
    await client.query("DROP TABLE sales; ALTER TABLE kept RENAME TO sales");
    expect(await rowsOf(sales)).toEqual(before);
  });

  test.each(["timestamptz", "timestamp", "date"])(
    "copies only what happened in the times that are asked for (%s)",
    async (type) => {
      await client.query(`CREATE TABLE times AS SELECT 'a' AS shop, (timestamptz 'epoch' + i * interval '7 hours 1 microsecond')::${type} AS happened_at
      FROM generate_series(-50, 50) i`);
      const source = sourceOf("SELECT * FROM times", []);
      const all = (await rowsOf(source)).rows.map(({ row }) => Number(row[1])).sort((a, b) => a - b);
      const [fromUs = 0, toUs = 0] = [all[20], all[70]];
      const some = await rowsOf(source, { fromUs, toUs });
      expect(some.rows.map(({ row }) => Number(row[1])).sort((a, b) => a - b)).toEqual(
        all.filter((us) => us >= fromUs && us < toUs),
      );
      await client.query("DROP TABLE times");
    },
  );

  test("copies only what happened in the times that are asked for, and goes on from an ordinal", async () => {
    const { rows } = await rowsOf(sales);
    const times = rows.map(({ row }) => Number(row[1])).sort((a, b) => a - b);
    const [fromUs = 0, toUs = 0] = [times[100], times[200]];
    const some = await rowsOf(sales, { fromUs, toUs });
    expect(some.rows).toHaveLength(100);
    expect(some.summary).toEqual({ rows: 100, completeUpToUs: times[199] });
    expect((await rowsOf(sales, { fromUs, toUs }, 40)).rows).toEqual(some.rows.slice(40));
  });

  test("makes training sets from entity rows of a query, in the query's order, and removes what it copied", async () => {
    const own = await ownTemporaryFolder();
    const repository = repositoryOf(sales);
    const service = repository.services.get("all");
    if (service === undefined) throw new Error("no service");
    const query = create(EntityQuerySchema, {
      data: {
        case: "sql",
        value: {
          connection: "warehouse",
          query:
            "SELECT shop, happened_at AS event_time, amount FROM sales WHERE amount > 900 ORDER BY amount DESC; -- newest first",
        },
      },
      extra: { amount: "amount" },
    });
    const parts: Uint8Array[] = [];
    for await (const part of trainingSet({ repository, service, entityRows: { query }, ...location() })) {
      if (part.kind === "arrow") parts.push(part.bytes);
      if (part.kind !== "progress" || part.rows > 0) expect(await readdir(own)).toHaveLength(1);
    }
    const table = tableFromIPC(parts).toArray();
    const expected = await client.query(`SELECT shop, amount, (SELECT count(*) FROM sales e WHERE e.shop = r.shop
      AND e.happened_at < r.happened_at AND e.happened_at >= r.happened_at - interval '1 hour') AS count
      FROM sales r WHERE amount > 900 ORDER BY amount DESC`);
    expect(
      table.map((row) => ({ shop: row.shop, amount: Number(row.amount), count: String(row.sales__count_1h) })),
    ).toEqual(expected.rows);
    expect(await readdir(own)).toEqual([]);
  });

  test("tells how many rows the planner expects, without reading them", async () => {
    await client.query("ANALYZE sales");
    expect(await countBatchRows(compiledSource(sales), location())).toBe(1000);
  });

  test.each([
    [
      "missing",
      "FAILED_PRECONDITION",
      "is not declared in the file of SQL connections; it has away, nobody, other, warehouse.",
    ],
    ["other", "FAILED_PRECONDITION", "has no address of the form postgres://USER@HOST:PORT/DATABASE."],
    ["away", "UNAVAILABLE", "is not available: connect ECONNREFUSED 127.0.0.1:1."],
    ["nobody", "UNAVAILABLE", 'is not available: role "nobody" does not exist (SQLSTATE 28000).'],
  ])("says what is wrong with the connection %s, and no password", async (connection, code, message) => {
    const error = await rowsOf({ ...sales, batch: { sql: { connection, query: "SELECT 1" } } }).catch((e) => e);
    expect(error).toMatchObject({ code, message: expect.stringContaining(`SQL connection ${connection} ${message}`) });
    expect(JSON.stringify(error) + error.message).not.toContain("hidden-word");
  });

  test.each([
    ["SELECT * FROM nowhere", 'relation "nowhere" does not exist (SQLSTATE 42P01)'],
    ["SELECT shop, happened_at, 1 / 0 AS amount FROM sales", "SQLSTATE 22012"],
    ["SELECT shop, happened_at FROM sales", "amount: expected a column of type INT64, got no such column"],
    [
      "SELECT shop, happened_at, amount::text AS amount FROM sales",
      "amount: expected a column of type INT64, got VARCHAR",
    ],
    [
      "SELECT shop, happened_at, point(1, 2) AS amount FROM sales",
      "amount: expected a column of type INT64, got no such column",
    ],
    ["SELECT setval(pg_get_serial_sequence('counted', 'id'), 7)", "SQLSTATE 42P01"],
    [
      "WITH gone AS (DELETE FROM sales RETURNING *) SELECT * FROM gone",
      "WITH clause containing a data-modifying statement",
    ],
    ["SELECT * FROM sales FOR UPDATE", "cannot execute SELECT FOR UPDATE in a read-only transaction"],
  ])("refuses the query %s", async (query, message) => {
    await expect(rowsOf({ ...sales, batch: { sql: { connection: "warehouse", query } } })).rejects.toMatchObject({
      code: "FAILED_PRECONDITION",
      message: expect.stringContaining(message),
    });
    expect((await client.query("SELECT count(*) FROM sales")).rows).toEqual([{ count: "1000" }]);
  });

  test("is given up in the middle of a copy, and leaves nothing", async () => {
    const own = await ownTemporaryFolder();
    const slow =
      "SELECT shop, happened_at, amount FROM sales, (SELECT pg_sleep(0.05) FROM generate_series(1, 200) i) s";
    const source = compiledSource(sourceOf(slow, [{ name: "amount", type: "INT64" }]));
    const reading = BatchRows.open(source, location(), everyTime, AbortSignal.timeout(500));
    await expect(reading).rejects.toMatchObject({ name: "TimeoutError" });
    const running = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'millrace' AND state = 'active'";
    await expect.poll(async () => (await client.query(running)).rowCount, { timeout: 10_000 }).toBe(0);
    expect(await readdir(own)).toEqual([]);
  });

  test("reports a database that goes away in the middle of a copy, and leaves nothing", async () => {
    const own = await ownTemporaryFolder();
    const slow = sourceOf(
      "SELECT shop, happened_at, amount FROM sales, (SELECT pg_sleep(0.05) FROM generate_series(1, 100) i) s",
      [{ name: "amount", type: "INT64" }],
    );
    const reading = rowsOf(slow);
    const ended = (async () => {
      for (;;) {
        const { rowCount } = await client.query(
          "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'millrace' AND query LIKE 'COPY%'",
        );
        if (rowCount === 1) return;
      }
    })();
    await expect(reading).rejects.toMatchObject({ code: "UNAVAILABLE" });
    await ended;
    expect(await readdir(own)).toEqual([]);
  });
});

test.each([
  ["SELECT 1; DROP TABLE x", "2 statements"],
  [
    "SELECT 1) AS q) TO STDOUT; DROP TABLE x; --",
    'a query that PostgreSQL\'s parser refuses: syntax error at or near ")"',
  ],
  ["DELETE FROM x", "a statement that is no SELECT: DeleteStmt"],
  ["SELECT 1 INTO x", "a SELECT INTO, which writes a table"],
  ["COPY x TO PROGRAM 'id'", "a statement that is no SELECT: CopyStmt"],
])("a definition with the query %s is refused", (query, got) => {
  expect(() => repositoryOf(sourceOf(query, []))).toThrow(
    `sources[0].batch.sql.query: expected one SELECT of PostgreSQL, got ${got}`,
  );
});
