import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fromJson } from "@bufbuild/protobuf";
import { DuckDBInstance } from "@duckdb/node-api";
import { FeatureRepositorySchema } from "@millrace/contracts/millrace/feature/v1/feature_repository";
import { EntityQuerySchema } from "@millrace/contracts/millrace/feature/v1/feature_service";
import { tableFromIPC } from "apache-arrow";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { trainingSet } from "../src/duckdb/index.ts";
import { compileRepository, DefinitionInvalidError } from "../src/index.ts";

/** What would be SQL, were it pasted into SQL. */
const hostile = [
  "'; DROP TABLE entity_rows; --",
  "' OR '1'='1",
  '"; SELECT 1; --',
  "x') UNION ALL SELECT 'y",
  "$$; COPY (SELECT 1) TO '/tmp/owned'; $$",
  "\\'; --",
  "%s {0} $1 ?",
  "/* */ --",
  "a\u0000b",
  "žluť 🦜",
];
const root = mkdtempSync(join(tmpdir(), "injection-"));
const folder = join(root, "it's; DROP TABLE x; --");
const file = "sales '\"; --.parquet";

const repositoryOf = (where: string, expression = "amount") =>
  compileRepository(
    fromJson(FeatureRepositorySchema, {
      entities: [{ name: "shop", keys: [{ name: "shop", type: "STRING" }] }],
      sources: [
        {
          name: "sales",
          fields: [
            { name: "shop", type: "STRING" },
            { name: "amount", type: "DOUBLE" },
            { name: "at", type: "TIMESTAMP" },
          ],
          eventTime: "at",
          batch: { parquet: file },
        },
      ],
      featureViews: [
        {
          name: "turnover",
          entity: "shop",
          source: "sales",
          where,
          aggregates: [{ name: "sum_1d", function: "SUM", of: expression, window: "1d" }],
        },
      ],
      featureServices: [{ name: "v1", features: ["turnover.*"] }],
    }),
  );

const literal = (text: string): string => `'${text.replaceAll("'", "''")}'`;

/** The feature of each row by its shop. */
const trained = async (where: string, rowsWhere: string): Promise<Map<unknown, unknown>> => {
  const repository = repositoryOf(where);
  const service = repository.services.get("v1");
  if (service === undefined) throw new Error("The service is missing.");
  const query = fromJson(EntityQuerySchema, {
    parquet: file,
    columns: { event_time: "at + interval '1 hour'" },
    extra: { note: literal(hostile[0] ?? "") },
    where: rowsWhere,
  });
  const parts: Uint8Array[] = [];
  for await (const part of trainingSet({ repository, service, entityRows: { query }, dataRoot: folder })) {
    if (part.kind === "arrow") parts.push(part.bytes);
  }
  const table = tableFromIPC(Buffer.concat(parts));
  for (let row = 0; row < table.numRows; row++) expect(table.getChild("note")?.get(row)).toBe(hostile[0]);
  return new Map(
    Array.from({ length: table.numRows }, (_, row) => [
      table.getChild("shop")?.get(row),
      table.getChild("turnover__sum_1d")?.get(row),
    ]),
  );
};

describe("text that would be SQL", () => {
  beforeAll(async () => {
    mkdirSync(folder);
    const instance = await DuckDBInstance.create(":memory:");
    const connection = await instance.connect();
    await connection.run('CREATE TABLE sales (shop VARCHAR, amount DOUBLE, "at" TIMESTAMP)');
    const statement = await connection.prepare("INSERT INTO sales VALUES ($1, $2, TIMESTAMP '2026-01-05 10:00:00')");
    for (const [index, shop] of hostile.entries()) {
      statement.bind([shop, index + 1]);
      await statement.run();
    }
    statement.destroySync();
    await connection.run(`COPY sales TO ${literal(join(folder, file))} (FORMAT parquet)`);
    connection.closeSync();
    instance.closeSync();
  });
  afterAll(() => rmSync(root, { recursive: true }));

  test("is data as a key, in a literal and in the name of a file or folder", async () => {
    expect(await trained("", "")).toEqual(new Map(hostile.map((shop, index) => [shop, index + 1])));
    // A NUL cannot stand in a literal: PostgreSQL has no text with one.
    for (const [index, shop] of hostile.entries()) {
      if (shop.includes("\u0000")) continue;
      const without = await trained(`shop <> ${literal(shop)}`, "");
      expect(without.get(shop)).toBeNull();
      const only = await trained("", `shop = ${literal(shop)}`);
      expect(only).toEqual(new Map([[shop, index + 1]]));
    }
  });

  test("is refused as an expression that is more than one", () => {
    const expressions = [
      "amount; DROP TABLE sales",
      "(SELECT max(amount) FROM sales)",
      "amount) FROM sales; --",
      "read_text('/etc/passwd')",
      "getenv('PATH')",
      "pg_sleep(10)",
      "current_setting('x')",
      "amount::regclass",
      "sum(amount) OVER ()",
      "$1",
      "sales.amount",
    ];
    for (const expression of expressions) {
      expect(() => repositoryOf("", expression), expression).toThrow(DefinitionInvalidError);
      expect(() => repositoryOf(`${expression} > 1`), expression).toThrow(DefinitionInvalidError);
    }
  });

  test("is refused as a name", () => {
    for (const name of [...hostile, "a-b", "a.b", "A", "1a", "a b"]) {
      const repository = fromJson(FeatureRepositorySchema, {
        entities: [{ name, keys: [{ name: "shop", type: "STRING" }] }],
      });
      expect(() => compileRepository(repository), name).toThrow(DefinitionInvalidError);
    }
  });
});
