import { readdir, readFile } from "node:fs/promises";
import { fromJson, type JsonObject } from "@bufbuild/protobuf";
import { ValueType } from "@millrace/contracts/millrace/feature/v1/column";
import { FeatureRepositorySchema } from "@millrace/contracts/millrace/feature/v1/feature_repository";
import { AsOf } from "@millrace/contracts/millrace/feature/v1/feature_service";
import { parse } from "yaml";
import * as z from "zod";
import { compileRepository } from "../compile-repository.ts";
import type { CompiledRepository, CompiledView, Scalar } from "../compiled.ts";
import { parseTimestamp } from "../expression/operations/civil-time.ts";

/**
 * What a feature means, as a file that every engine reads: events, and what is answered when. One view with one feature,
 * `view.feature`, over the source `trips`, whose fields are `city` (STRING), `street` (INT64), `fare` (DOUBLE), `riders`
 * (INT64), `note` (STRING), `at` and `known_at` (TIMESTAMP), and `gone` (BOOL), which says that the place is gone where the
 * scenario has `deletions`.
 */
export interface Scenario {
  /** The file's name without its ending. */
  readonly name: string;
  readonly because: string;
  /** Holds the view `view` and the feature service `scenario`. */
  readonly repository: CompiledRepository;
  readonly view: CompiledView;
  /** In the order of the source; the values in the order of its fields. */
  readonly events: readonly (readonly Scalar[])[];
  readonly asks: readonly ScenarioAsk[];
}

export interface ScenarioAsk {
  /** `city`, and `street` where it is a key: the entity's keys in order. */
  readonly keys: readonly Scalar[];
  readonly timeUs: bigint;
  readonly asOf: AsOf;
  readonly expect: Scalar;
  /** What is answered online beside the value: PRESENT, NULL_VALUE, NOT_FOUND, OUTSIDE_MAX_AGE. */
  readonly status: string | undefined;
}

/** Reads all scenarios of this package, in the order of their names. */
export const readScenarios = async (): Promise<Scenario[]> => {
  const folder = new URL("../../scenarios/", import.meta.url);
  const files = (await readdir(folder)).filter((file) => file.endsWith(".yaml")).sort();
  return Promise.all(
    files.map(async (file) =>
      scenarioFrom(file.replace(/\.yaml$/, ""), parse(await readFile(new URL(file, folder), "utf8"))),
    ),
  );
};

const value = z.union([z.string(), z.number(), z.nan(), z.null(), z.array(z.int())]);
const fields = { city: z.string().nullable(), street: z.int().nullable().optional() };
const shape = z.strictObject({
  because: z.string(),
  view: z.strictObject({
    keys: z.array(z.enum(["city", "street"])).default(["city"]),
    function: z.string().optional(),
    of: z.string().optional(),
    window: z.string().optional(),
    n: z.int().optional(),
    percentile: z.number().optional(),
    hop: z.string().optional(),
    latest: z.string().optional(),
    where: z.string().optional(),
    ttl: z.string().optional(),
    allowedLateness: z.string().optional(),
    deletions: z.boolean().optional(),
    derived: z.array(z.strictObject({ name: z.string(), expression: z.string() })).optional(),
    entityColumns: z.record(z.string(), z.string()).optional(),
  }),
  events: z.array(
    z.strictObject({
      ...fields,
      at: z.string(),
      knownAt: z.string().optional(),
      fare: z.number().nullable().optional(),
      riders: z.union([z.int(), z.string()]).nullable().optional(),
      note: z.string().nullable().optional(),
      gone: z.boolean().optional(),
      times: z.int().default(1),
    }),
  ),
  asks: z.array(
    z.strictObject({
      ...fields,
      at: z.string(),
      asOf: z.enum(["EVENT_TIME", "KNOWN_AT"]).default("EVENT_TIME"),
      expect: value,
      status: z.enum(["PRESENT", "NULL_VALUE", "NOT_FOUND", "OUTSIDE_MAX_AGE"]).optional(),
    }),
  ),
});

type Written = z.output<typeof shape>;

const scenarioFrom = (name: string, yaml: unknown): Scenario => {
  const read = shape.safeParse(yaml);
  if (!read.success) throw new TypeError(`The scenario ${name}: ${z.prettifyError(read.error)}`);
  const written = read.data;
  const repository = repositoryOf(written.view);
  const view = repository.views.get("view");
  if (view === undefined) throw new TypeError(`The scenario ${name} has no view.`);
  const type = repository.services.get("scenario")?.features[0]?.type ?? ValueType.DOUBLE;
  return {
    name,
    because: written.because,
    repository,
    view,
    events: written.events.flatMap((event) => {
      const riders = event.riders ?? null;
      const row: Scalar[] = [
        event.city,
        event.street === undefined || event.street === null ? null : BigInt(event.street),
        event.fare ?? null,
        riders === null ? null : BigInt(riders),
        event.note ?? null,
        timeOf(event.at),
        timeOf(event.knownAt ?? event.at),
        event.gone ?? null,
      ];
      return new Array<Scalar[]>(event.times).fill(row);
    }),
    asks: written.asks.map((ask) => ({
      keys: written.view.keys.map((key) => (key === "city" ? ask.city : BigInt(ask.street ?? 0))),
      timeUs: timeOf(ask.at),
      asOf: AsOf[ask.asOf],
      expect: expectedOf(ask.expect, type),
      status: ask.status,
    })),
  };
};

const expectedOf = (expect: z.output<typeof value>, type: ValueType): Scalar => {
  if (Array.isArray(expect)) return expect.map(BigInt);
  return type === ValueType.INT64 && expect !== null ? BigInt(expect) : expect;
};

const repositoryOf = (view: Written["view"]): CompiledRepository => {
  const { keys, latest, where, ttl, allowedLateness, deletions, derived, entityColumns, of, ...aggregate } = view;
  const feature: JsonObject =
    latest === undefined
      ? {
          aggregates: [
            {
              name: "feature",
              function: aggregate.function ?? "COUNT",
              window: aggregate.window ?? "1h",
              ...(aggregate.hop === undefined ? {} : { hop: aggregate.hop }),
              ...(aggregate.n === undefined ? {} : { n: aggregate.n }),
              ...(aggregate.percentile === undefined ? {} : { percentile: aggregate.percentile }),
              ...(of === undefined || of === "trips" ? {} : { of }),
            },
          ],
        }
      : { features: [{ name: "feature", expression: latest }], ...(ttl === undefined ? {} : { ttl }) };
  return compileRepository(
    fromJson(FeatureRepositorySchema, {
      entities: [{ name: "place", keys: keys.map((name) => ({ name, type: name === "city" ? "STRING" : "INT64" })) }],
      sources: [
        {
          name: "trips",
          fields: [
            { name: "city", type: "STRING" },
            { name: "street", type: "INT64" },
            { name: "fare", type: "DOUBLE" },
            { name: "riders", type: "INT64" },
            { name: "note", type: "STRING" },
            { name: "at", type: "TIMESTAMP" },
            { name: "known_at", type: "TIMESTAMP" },
            { name: "gone", type: "BOOL" },
          ],
          eventTime: "at",
          createdAt: "known_at",
          ...(allowedLateness === undefined ? {} : { allowedLateness }),
          ...(deletions === true ? { deleted: "gone" } : {}),
          ...(derived === undefined ? {} : { derived }),
          batch: { parquet: "trips.parquet" },
          stream: { topic: "trips", format: "JSON" },
        },
      ],
      featureViews: [
        {
          name: "view",
          entity: "place",
          source: "trips",
          ...(where === undefined ? {} : { where }),
          ...(entityColumns === undefined ? {} : { entityColumns }),
          ...feature,
        },
      ],
      featureServices: [{ name: "scenario", features: ["view.feature"] }],
    }),
  );
};

/** `10:02` is a time of 5 January 2026, at UTC; anything else is written in full. */
const timeOf = (text: string): bigint => {
  const us = parseTimestamp(/^\d\d:\d\d/.test(text) ? `2026-01-05 ${text}` : text);
  if (us === undefined) throw new TypeError(`${text} is no time such as 10:02 or 2026-01-04 10:02:03.5.`);
  return us;
};
