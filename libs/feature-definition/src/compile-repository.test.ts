import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ValueType } from "@millrace/contracts/millrace/feature/v1/column";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { compileRepository } from "./compile-repository.ts";
import { DefinitionInvalidError } from "./definition-invalid-error.ts";
import { loadRepository } from "./load-repository.ts";

const good = `
entities:
  - {name: airport, keys: [{name: airport, type: STRING}]}
sources:
  - name: arrivals
    fields:
      - {name: airport, type: STRING}
      - {name: delay, type: DOUBLE}
      - {name: arrived_at, type: TIMESTAMP}
      - {name: received_at, type: TIMESTAMP}
    eventTime: arrived_at
    createdAt: received_at
    batch: {parquet: "arrivals/*.parquet"}
    stream: {topic: arrivals, format: JSON}
featureViews:
  - name: airport_delays
    entity: airport
    source: arrivals
    where: "delay IS NOT NULL"
    aggregates:
      - {name: mean_delay_1h, function: MEAN, of: delay, window: 1h}
      - {name: arrivals_24h, function: COUNT, window: 24h}
      - {name: late_share_14d, function: MEAN, of: "CASE WHEN delay > 15 THEN 1.0 ELSE 0.0 END", window: 14d}
  - name: last_arrival
    entity: airport
    source: arrivals
    features: [{name: delay}, {name: late, expression: delay > 15}]
    ttl: 30d
onDemandViews:
  - name: push_back
    request: [{name: departed_at, type: TIMESTAMP}]
    inputs: [last_arrival.delay]
    features:
      - {name: hour, type: INT64, expression: "extract(hour FROM departed_at)"}
      - {name: twice, expression: "last_arrival__delay * 2"}
featureServices:
  - {name: delay_v1, features: [airport_delays.mean_delay_1h, last_arrival.*, push_back.hour]}
`;

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "repository-"));
});
afterEach(() => rm(folder, { recursive: true }));

const compiled = async (yaml: string) => {
  await writeFile(join(folder, "features.yaml"), yaml);
  return compileRepository(await loadRepository(folder));
};

const problemsOf = async (yaml: string): Promise<string[]> => {
  const error = await compiled(yaml).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof DefinitionInvalidError)) throw error ?? new Error("nothing was refused");
  return error.problems.map(({ field, expected, got }) => `${field}: expected ${expected}, got ${got}`);
};

describe("a feature repository", () => {
  test("compiles into views whose windows have hops as Chronon's", async () => {
    const view = (await compiled(good)).views.get("airport_delays");
    expect(view?.kind === "aggregate" && view.aggregates.map(({ hopUs }) => hopUs / 60_000_000n)).toEqual([
      5n,
      60n,
      1440n,
    ]);
  });

  test("gives a service its features in order, and what its callers must send", async () => {
    const service = (await compiled(good)).services.get("delay_v1");
    expect(service?.features.map(({ fullName }) => fullName)).toEqual([
      "airport_delays__mean_delay_1h",
      "last_arrival__delay",
      "last_arrival__late",
      "push_back__hour",
    ]);
    expect(service?.entityKeys).toEqual([{ name: "airport", type: ValueType.STRING }]);
    expect(service?.requestFields).toEqual([{ name: "departed_at", type: ValueType.TIMESTAMP }]);
  });

  test("is the same whether it stands in one file or in several", async () => {
    const whole = await compiled(good);
    const at = good.indexOf("featureViews:");
    await writeFile(join(folder, "features.yaml"), good.slice(at));
    await writeFile(join(folder, "z-sources.yml"), good.slice(0, at));
    expect(compileRepository(await loadRepository(folder)).definitionsHash).toBe(whole.definitionsHash);
  });
});

describe("derived columns", () => {
  const derived = (columns: string) =>
    good.replace("createdAt: received_at", `createdAt: received_at\n    derived: ${columns}`);

  test("are columns as others: of conditions, values and entity keys, with the type of their expression", async () => {
    const yaml = derived("[{name: port, expression: upper(airport)}, {name: far, expression: \"port || '!'\"}]")
      .replace('where: "delay', "entityColumns: {airport: far}\n    where: \"port <> 'X' AND delay")
      .replace("{name: delay}, {name: late", "{name: far}, {name: late")
      .replaceAll(/last_arrival([._]+)delay(?=[\] ])/g, "last_arrival$1far")
      .replace("far * 2", "far || '?'");
    const { sources, views } = await compiled(yaml);
    expect(sources.get("arrivals")?.columns.map(({ name }) => name)).toEqual([
      "airport",
      "delay",
      "arrived_at",
      "received_at",
      "port",
      "far",
    ]);
    expect(views.get("airport_delays")?.keyColumns).toEqual(["far"]);
  });

  test("change the versions of the views that read them, also through others, and of no other view", async () => {
    const versions = async (yaml: string) =>
      [...(await compiled(yaml)).views.values()].map(({ name, version }) => `${name}@${version}`);
    const reading = (columns: string) =>
      derived(columns).replace("features: [{name: delay}", "features: [{name: b}, {name: delay}");
    const [delays, last] = await versions(reading("[{name: a, expression: delay + 1}, {name: b, expression: a * 2}]"));
    const [delays2, last2] = await versions(
      reading("[{name: a, expression: delay + 2}, {name: b, expression: a * 2}]"),
    );
    expect(delays2).toBe(delays);
    expect(last2).not.toBe(last);
    const unread = "[{name: a, expression: delay + 1}, {name: b, expression: a * 2}, {name: c, expression: b + 1}]";
    expect(await versions(reading(unread))).toEqual([delays, last]);
    expect(delays).toBe((await versions(good))[0]);
  });
});

describe("the version of a view", () => {
  const versionOf = async (yaml: string) => (await compiled(yaml)).views.get("airport_delays")?.version;

  test("stays when only spelling, owner or description change", async () => {
    const respelt = good.replace(
      '"delay IS NOT NULL"',
      '"((delay)   is not null)"\n    owner: somebody\n    description: about delays',
    );
    expect(await versionOf(respelt)).toBe(await versionOf(good));
  });

  test.each([
    ["the condition", '"delay IS NOT NULL"', '"delay > 0"'],
    ["a window", "window: 24h", "window: 48h"],
    ["a function", "function: MEAN, of: delay", "function: MAX, of: delay"],
    ["the lateness that is allowed", "createdAt: received_at", "createdAt: received_at\n    allowedLateness: 2d"],
  ])("changes with %s", async (_, from, to) => {
    expect(await versionOf(good.replace(from, to))).not.toBe(await versionOf(good));
  });
});

describe("a repository with mistakes is refused with file, path and reason:", () => {
  test.each([
    ["an unknown key", "topic: arrivals", "topics: arrivals", "sources[0].stream.topics"],
    ["a word that no enum has", "function: COUNT", "function: COUNTS", "featureViews[0].aggregates[1].function"],
    ["a number where a text belongs", "window: 24h", "window: 24", "featureViews[0].aggregates[1].window"],
    ["a duration without meaning", "ttl: 30d", "ttl: 30x", "featureViews[1].ttl"],
    ["an unknown column", "of: delay,", "of: dely,", "featureViews[0].aggregates[0].of"],
    ["a condition that is none", '"delay IS NOT NULL"', '"delay + 1"', "featureViews[0].where"],
    ["a window that is not whole hops", "window: 1h", "window: 7m", "featureViews[0].aggregates[0].window"],
    [
      "a function that cannot take the type",
      "function: MEAN, of: delay",
      "function: MEAN, of: airport",
      "featureViews[0].aggregates[0].of",
    ],
    [
      "the last values without their number",
      "function: MEAN, of: delay",
      "function: LAST_N, of: delay",
      "featureViews[0].aggregates[0].n",
    ],
    [
      "a percentile beyond 1",
      "function: MEAN, of: delay",
      "function: APPROX_PERCENTILE, of: delay, percentile: 95",
      "featureViews[0].aggregates[0].percentile",
    ],
    [
      "different values of a number with fractions",
      "function: MEAN, of: delay",
      "function: DISTINCT_COUNT, of: delay",
      "featureViews[0].aggregates[0].of",
    ],
    ["a time that is no timestamp", "eventTime: arrived_at", "eventTime: delay", "sources[0].eventTime"],
    [
      "an unknown entity",
      "entity: airport\n    source: arrivals\n    where",
      "entity: port\n    source: arrivals\n    where",
      "featureViews[0].entity",
    ],
    ["an unknown source", "source: arrivals\n    where", "source: arrival\n    where", "featureViews[0].source"],
    ["an input that nobody has", "[last_arrival.delay]", "[last_arrival.delays]", "onDemandViews[0].inputs[0]"],
    ["an input that is made of itself", "[last_arrival.delay]", "[push_back.hour]", "onDemandViews[0].inputs"],
    [
      "a declared type that does not fit",
      "type: INT64, expression",
      "type: STRING, expression",
      "onDemandViews[0].features[0].expression",
    ],
    ["a service that names no feature", "push_back.hour]", "push_back.hours]", "featureServices[0].features[2]"],
    ["a feature twice", "push_back.hour]", "last_arrival.late]", "featureServices[0].features"],
    ["a name twice", "name: last_arrival", "name: airport_delays", "featureViews[1].name"],
    [
      "a number of values for a function of one",
      "function: MEAN, of: delay",
      "function: MEAN, n: 3, of: delay",
      "featureViews[0].aggregates[0].n",
    ],
    ["a format without its schema", "format: JSON", "format: AVRO", "sources[0].stream.schema"],
    [
      "a completeness by what is no time",
      "createdAt: received_at",
      "createdAt: received_at\n    completeUpTo: {column: delay, lag: 1d}",
      "sources[0].completeUpTo.column",
    ],
    [
      "a length of something that is no list",
      "{name: delay, type: DOUBLE}",
      "{name: delay, type: DOUBLE, length: 3}",
      "sources[0].fields[1].length",
    ],
    [
      "a length of a feature whose column has none",
      "{name: delay}, {name: late",
      "{name: delay, length: 3}, {name: late",
      "featureViews[1].features[0].length",
    ],
    [
      "a joined view of no view",
      "onDemandViews:",
      "joinedViews: [{name: origin, view: nothing, keys: {airport: origin}}]\nonDemandViews:",
      "joinedViews[0].view",
    ],
    [
      "a joined view of a joined view",
      "onDemandViews:",
      "joinedViews: [{name: origin, view: there, keys: {airport: origin}}, {name: there, view: airport_delays, keys: {airport: origin}}]\nonDemandViews:",
      "joinedViews[0].view",
    ],
    [
      "a key that the joined entity has not",
      "onDemandViews:",
      "joinedViews: [{name: origin, view: airport_delays, keys: {airport: origin, port: origin}}]\nonDemandViews:",
      "joinedViews[0].keys",
    ],
    [
      "a key of the joined entity that nothing gives",
      "onDemandViews:",
      "joinedViews: [{name: origin, view: airport_delays, keys: {port: origin}}]\nonDemandViews:",
      "joinedViews[0].keys",
    ],
    [
      "a key of another type",
      "onDemandViews:",
      "joinedViews: [{name: origin, view: airport_delays, keys: {airport: last_arrival.delay}}]\nonDemandViews:",
      "joinedViews[0].keys.airport",
    ],
    [
      "a key from an aggregate",
      "onDemandViews:",
      "joinedViews: [{name: origin, view: airport_delays, keys: {airport: airport_delays.mean_delay_1h}}]\nonDemandViews:",
      "joinedViews[0].keys.airport",
    ],
    [
      "a chain of joins",
      "onDemandViews:",
      "joinedViews: [{name: origin, view: last_arrival, keys: {airport: origin}}, {name: next, view: last_arrival, keys: {airport: origin.delay}}]\nonDemandViews:",
      "joinedViews[1].keys.airport",
    ],
    [
      "a cycle of joins",
      "onDemandViews:",
      "joinedViews: [{name: origin, view: last_arrival, keys: {airport: origin.delay}}]\nonDemandViews:",
      "joinedViews[0].keys.airport",
    ],
    [
      "a joined view with the name of a view",
      "onDemandViews:",
      "joinedViews: [{name: last_arrival, view: airport_delays, keys: {airport: origin}}]\nonDemandViews:",
      "joinedViews[0].name",
    ],
    [
      "a derived column that reads a later one",
      "createdAt: received_at",
      "createdAt: received_at\n    derived: [{name: late, expression: very_late}, {name: very_late, expression: delay > 60}]",
      "sources[0].derived[0].expression",
    ],
    [
      "a derived column that reads itself",
      "createdAt: received_at",
      "createdAt: received_at\n    derived: [{name: late, expression: late}]",
      "sources[0].derived[0].expression",
    ],
    [
      "a derived column with the name of a field",
      "createdAt: received_at",
      "createdAt: received_at\n    derived: [{name: delay, expression: '1'}]",
      "sources[0].derived[0].name",
    ],
    [
      "a derived column twice",
      "createdAt: received_at",
      "createdAt: received_at\n    derived: [{name: late, expression: delay > 1}, {name: late, expression: delay > 2}]",
      "sources[0].derived[1].name",
    ],
    [
      "a time that is derived",
      "eventTime: arrived_at",
      "eventTime: landed_at\n    derived: [{name: landed_at, expression: arrived_at}]",
      "sources[0].eventTime",
    ],
    [
      "deletions by a field that there is not",
      "createdAt: received_at",
      "createdAt: received_at\n    deleted: gone",
      "sources[0].deleted",
    ],
    [
      "an envelope whose deletions nothing says",
      "format: JSON",
      "format: JSON, envelope: DEBEZIUM",
      "sources[0].deleted",
    ],
    ["a schema for what has none", "format: JSON", "format: JSON, schema: x", "sources[0].stream.schema"],
    [
      "windows over a source with deletions",
      "    eventTime: arrived_at",
      "      - {name: gone, type: BOOL}\n    deleted: gone\n    eventTime: arrived_at",
      "featureViews[0].source",
    ],
    ["YAML that is none", "entities:", "entities: [", ""],
  ])("%s", async (_, from, to, path) => {
    expect(good).toContain(from);
    const problems = await problemsOf(good.replace(from, to));
    expect(
      problems.some((problem) => problem.startsWith(`features.yaml: ${path}`)),
      problems.join("\n"),
    ).toBe(true);
  });

  test("all of them at once, from all files", async () => {
    await writeFile(join(folder, "more.yaml"), "sources: [{name: Other}]\nentitys: []");
    const problems = await problemsOf(
      good.replace("ttl: 30d", "ttl: 30x").replace("topic: arrivals", "topics: arrivals"),
    );
    expect(problems.map((problem) => problem.split(":").slice(0, 2).join(":"))).toEqual([
      "features.yaml: sources[0].stream.topics",
      "features.yaml: sources[0].stream.topic",
      "features.yaml: featureViews[1].ttl",
      "more.yaml: entitys",
      "more.yaml: sources[0].name",
      "more.yaml: sources[0].fields",
      "more.yaml: sources[0].eventTime",
    ]);
  });

  test("a folder without definitions", async () => {
    await expect(loadRepository(folder)).rejects.toThrow("a folder with *.yaml files");
    await expect(loadRepository(join(folder, "none"))).rejects.toThrow("a folder that can be read");
  });
});
