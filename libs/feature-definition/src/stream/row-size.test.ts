import { fromJson, type JsonObject } from "@bufbuild/protobuf";
import { FeatureRepositorySchema } from "@millrace/contracts/millrace/feature/v1/feature_repository";
import { describe, expect, test } from "vitest";
import { compileRepository } from "../compile-repository.ts";
import type { CompiledView, Scalar } from "../compiled.ts";
import { createViewStream } from "./create-view-stream.ts";
import type { SourceEvent } from "./source-event.ts";

const hour = 3_600_000_000;
const startUs = Date.UTC(2001, 0, 1) * 1000;

const viewOf = (view: JsonObject): CompiledView => {
  const repository = compileRepository(
    fromJson(FeatureRepositorySchema, {
      entities: [{ name: "shop", keys: [{ name: "shop", type: "STRING" }] }],
      sources: [
        {
          name: "sales",
          fields: [
            { name: "shop", type: "STRING" },
            { name: "amount", type: "DOUBLE" },
            { name: "items", type: "INT64" },
            { name: "label", type: "STRING" },
            { name: "embedding", type: "FLOAT_LIST", length: 384 },
            { name: "sold_at", type: "TIMESTAMP" },
          ],
          eventTime: "sold_at",
          stream: { topic: "sales", format: "JSON" },
        },
      ],
      featureViews: [{ name: "view", entity: "shop", source: "sales", ...view }],
    }),
  );
  const found = repository.views.get("view");
  if (found === undefined) throw new Error("there is no view");
  return found;
};

const embedding = Array.from({ length: 384 }, (_, index) => Math.fround(index / 7));

const eventAt = (eventTimeUs: number, offset: number): SourceEvent => {
  const amount = (((offset * 7919) % 10_007) + 1) ** 2 / 7;
  const row: Scalar[] = ["a", amount, BigInt((offset * 31) % 1000), `label ${offset}`, embedding, BigInt(eventTimeUs)];
  return { row, eventTimeUs, createdAtUs: eventTimeUs, partition: 3, offset: offset + 100_000, origin: 2 ** 40 };
};

/** `each` events in every `every`-th hour of eight days. */
const folded = (view: CompiledView, every: number, each: number): number => {
  const events: SourceEvent[] = [];
  for (let at = 0; at < 8 * 24; at += every) {
    for (let index = 0; index < each; index++) {
      events.push(eventAt(startUs + at * hour + Math.floor((index * hour) / each), events.length));
    }
  }
  return createViewStream(view).fold(undefined, events)?.length ?? 0;
};

const aggregates: JsonObject[] = [
  { function: "COUNT" },
  { function: "SUM", of: "amount" },
  { function: "SUM", of: "items" },
  { function: "MIN", of: "amount" },
  { function: "LAST", of: "label" },
  { function: "LAST", of: "embedding" },
  { function: "STDDEV", of: "amount" },
  { function: "LAST_N", of: "amount", n: 5 },
  { function: "DISTINCT_COUNT", of: "label" },
  { function: "APPROX_PERCENTILE", of: "amount", percentile: 0.5 },
];

describe("the bytes that a plan states for a key", () => {
  test.each(aggregates)("of $function of $of are what a row with events in a third of its tiles takes", (aggregate) => {
    const view = viewOf({ aggregates: [{ name: "feature", window: "7d", ...aggregate }] });
    const { typicalBytes } = createViewStream(view).size();
    const ratio = folded(view, 3, 12) / typicalBytes;
    expect(ratio).toBeGreaterThan(0.6);
    expect(ratio).toBeLessThan(1.6);
  });

  test.each(aggregates)("of $function of $of are never more than the worst", (aggregate) => {
    for (const window of ["1h", "7d", "30d"]) {
      const view = viewOf({ aggregates: [{ name: "feature", window, ...aggregate }] });
      expect(folded(view, 1, 60)).toBeLessThan(createViewStream(view).size().worstBytes);
    }
  });

  test("hold where short and long windows share the tiles", () => {
    const windows = ["30m", "1h", "13h", "3d", "14d"];
    const view = viewOf({
      aggregates: windows.map((window) => ({ name: `f${window}`, function: "SUM", of: "amount", window })),
    });
    expect(folded(view, 1, 60)).toBeLessThan(createViewStream(view).size().worstBytes);
  });

  test("of a latest row are those of its values, an embedding's by its length", () => {
    const view = viewOf({ features: [{ name: "amount" }, { name: "label" }, { name: "embedding" }] });
    const { typicalBytes, worstBytes } = createViewStream(view).size();
    const bytes = folded(view, 1, 1);
    expect(bytes / typicalBytes).toBeGreaterThan(0.9);
    expect(bytes / typicalBytes).toBeLessThan(1.1);
    expect(bytes).toBeLessThan(worstBytes);
  });

  test("of a latest row hold while many rows of the near future wait", () => {
    const view = viewOf({ features: [{ name: "amount" }, { name: "label" }] });
    const waiting = Array.from({ length: 200 }, (_, index) => ({
      ...eventAt(startUs + index * 1_000_000, index),
      createdAtUs: startUs,
    }));
    const bytes = createViewStream(view).fold(undefined, waiting)?.length ?? 0;
    expect(bytes).toBeGreaterThan(20 * createViewStream(view).size().typicalBytes);
    expect(bytes).toBeLessThan(createViewStream(view).size().worstBytes);
  });
});
