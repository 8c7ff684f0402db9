import { glob, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { FeatureRepositorySchema } from "@millrace/contracts/millrace/feature/v1/feature_repository";
import { Ajv } from "ajv";
import { describe, expect, test } from "vitest";
import { parse, parseAllDocuments } from "yaml";
import { generateSchema } from "../schema/generate-schema.ts";
import { compileRepository } from "./compile-repository.ts";
import { DefinitionInvalidError } from "./definition-invalid-error.ts";
import { loadRepository } from "./load-repository.ts";

const schemaFile = new URL("../schema/feature-repository.schema.json", import.meta.url);
const schema: object = JSON.parse(await readFile(schemaFile, "utf8"));
const validate = new Ajv({ allErrors: true, strict: true, strictRequired: false, strictTypes: false }).compile(schema);
const root = fileURLToPath(new URL("../../../", import.meta.url));
const kinds = new Set(FeatureRepositorySchema.fields.map(({ jsonName }) => jsonName));

const isRepository = (value: unknown): boolean =>
  typeof value === "object" &&
  value !== null &&
  Object.keys(value).length > 0 &&
  Object.keys(value).every((key) => kinds.has(key));

/** Every YAML of this repository that declares features: files, and blocks in Markdown that leave nothing out. */
const declarations = async (): Promise<[place: string, value: unknown][]> => {
  const found: [string, unknown][] = [];
  const exclude = (path: string): boolean => /(^|\/)(node_modules|dist|\.git|\.nx|scenarios|templates)$/.test(path);
  for await (const path of glob("**/*.{yaml,yml,md}", { cwd: root, exclude })) {
    const text = await readFile(join(root, path), "utf8");
    const blocks = path.endsWith(".md")
      ? [...text.matchAll(/^```ya?ml\n(.*?)^```/gms)].map(([, block = ""]) => block)
      : [text];
    for (const block of blocks.filter((one) => !one.includes("…"))) {
      for (const document of parseAllDocuments(block)) {
        if ("toJS" in document && isRepository(document.toJS())) found.push([path, document.toJS()]);
      }
    }
  }
  return found;
};

describe("the JSON Schema of feature repositories", () => {
  test("is what the contract says; `npm run schema` writes it anew", async () => {
    expect(schema).toEqual(JSON.parse(await generateSchema()));
  });

  test("accepts every declaration of this repository, in files and in documentation", async () => {
    const all = await declarations();
    const places = all.map(([place]) => place);
    expect(places).toContain("tools/demo/flights/features/arrivals.yaml");
    expect(places).toContain("libs/feature-definition/README.md");
    for (const [place, value] of all) {
      expect(validate(value), `${place}: ${JSON.stringify(validate.errors)}`).toBe(true);
    }
  });

  test("says what everything is for, in the words of the contract", () => {
    expect(schema).toMatchObject({
      definitions: {
        Source: {
          properties: { completeUpTo: { description: expect.stringContaining("where the stream takes over") } },
        },
        ValueType: { description: expect.stringContaining("TIMESTAMP: An instant") },
      },
    });
  });
});

const good = `
entities: [{name: airport, keys: [{name: airport, type: STRING}]}]
sources:
  - name: arrivals
    fields: [{name: airport, type: STRING}, {name: delay, type: DOUBLE}, {name: at, type: TIMESTAMP}]
    eventTime: at
    allowedLateness: 1d
    batch: {parquet: "arrivals/*.parquet"}
    stream: {topic: arrivals, format: JSON}
featureViews:
  - name: delays
    entity: airport
    source: arrivals
    aggregates: [{name: mean_1h, function: MEAN, of: delay, window: 1h}]
  - {name: last, entity: airport, source: arrivals, ttl: 30d, features: [{name: delay}]}
joinedViews: [{name: origin, view: delays, keys: {airport: origin}}]
onDemandViews: [{name: twice, inputs: [last.delay], features: [{name: delay, expression: last__delay * 2}]}]
featureServices: [{name: v1, features: [delays.mean_1h, origin.*, twice.delay]}]
`;

describe("a mistake that is often made", () => {
  const problemsOf = async (yaml: string): Promise<number> => {
    const folder = await mkdtemp(join(tmpdir(), "json-schema-"));
    try {
      await writeFile(join(folder, "features.yaml"), yaml);
      compileRepository(await loadRepository(folder));
      return 0;
    } catch (error) {
      if (error instanceof DefinitionInvalidError) return error.problems.length;
      throw error;
    } finally {
      await rm(folder, { recursive: true });
    }
  };

  test("is none of those in a good repository", async () => {
    expect(validate(parse(good)), JSON.stringify(validate.errors)).toBe(true);
    expect(await problemsOf(good)).toBe(0);
  });

  test.each([
    ["a misspelt kind", "featureViews:", "featureView:"],
    ["a misspelt key", "eventTime: at", "eventtime: at"],
    ["a type of another system", "{name: delay, type: DOUBLE}", "{name: delay, type: FLOAT64}"],
    ["a type in small letters", "{name: airport, type: STRING}", "{name: airport, type: string}"],
    ["a number for a name", "name: v1", "name: 1"],
    ["a name with a capital", "name: delays", "name: Delays"],
    ["a name with a dash", "name: mean_1h", "name: mean-1h"],
    ["a window without a unit", "window: 1h", "window: 1"],
    ["a window in words", "window: 1h", "window: 1 hour"],
    ["a window of months", "window: 1h", "window: 1M"],
    ["a window of nothing", "window: 1h", "window: 0h"],
    ["a lateness that is negative", "allowedLateness: 1d", "allowedLateness: -1d"],
    ["a function that there is not", "function: MEAN", "function: AVG"],
    ["a function that is missing", "function: MEAN, ", ""],
    [
      "an aggregate that is no list",
      "aggregates: [{name: mean_1h, function: MEAN, of: delay, window: 1h}]",
      "aggregates: {name: mean_1h}",
    ],
    ["a list where one is wanted", "entity: airport\n", "entity: [airport]\n"],
    [
      "a view with both kinds of features",
      "ttl: 30d, features",
      "aggregates: [{name: n, function: COUNT, window: 1h}], features",
    ],
    ["a view with neither kind", ", features: [{name: delay}]}\njoined", "}\njoined"],
    ["two places of batch data", '{parquet: "arrivals/*.parquet"}', "{parquet: a.parquet, csv: a.csv}"],
    ["a place of batch data that is none", '{parquet: "arrivals/*.parquet"}', "{json: a.json}"],
    ["a stream without a format", ", format: JSON", ""],
    [
      "a source without data",
      '    batch: {parquet: "arrivals/*.parquet"}\n    stream: {topic: arrivals, format: JSON}\n',
      "",
    ],
    [
      "a source without fields",
      "fields: [{name: airport, type: STRING}, {name: delay, type: DOUBLE}, {name: at, type: TIMESTAMP}]",
      "fields: []",
    ],
    ["a source without an event time", "    eventTime: at\n", ""],
    ["an entity without keys", ", keys: [{name: airport, type: STRING}]}]", "}]"],
    ["joined keys as a list", "keys: {airport: origin}", "keys: [airport]"],
    ["a joined view without keys", "keys: {airport: origin}", "keys: {}"],
    ["a service of one text", "features: [delays.mean_1h, origin.*, twice.delay]", "features: delays.mean_1h"],
    ["a service without features", "features: [delays.mean_1h, origin.*, twice.delay]", "features: []"],
    ["an expression that is a number", "expression: last__delay * 2", "expression: 2"],
  ])("is refused by the editor and at apply: %s", async (_, from, to) => {
    expect(good).toContain(from);
    const yaml = good.replace(from, to);
    expect(validate(parse(yaml))).toBe(false);
    expect(await problemsOf(yaml)).toBeGreaterThan(0);
  });
});
