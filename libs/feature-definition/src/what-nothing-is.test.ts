import type { JsonObject } from "@bufbuild/protobuf";
import { AsOf } from "@millrace/contracts/millrace/feature/v1/feature_service";
import { describe, expect, test } from "vitest";
import type { Scalar } from "./compiled.ts";
import {
  eventsOf,
  microsecondsAt,
  onEveryPath,
  type Sale,
  type SaleAsk,
  salesViews,
  trainingSetOf,
} from "./stream/every-path.reference.ts";
import { AggregateOverflowError, createViewStream } from "./stream/index.ts";

const view = (aggregates: JsonObject[], more: JsonObject = {}): JsonObject => ({
  name: "view",
  maxBytesPerKey: 1_000_000,
  aggregates: aggregates.map((aggregate, index) => ({ name: `f${index}`, window: "1h", ...aggregate })),
  ...more,
});

const ofAmount = (...functions: string[]): JsonObject[] => functions.map((name) => ({ function: name, of: "amount" }));

/** Every function that is not COUNT. */
const others: JsonObject[] = [
  ...ofAmount("SUM", "MEAN", "MIN", "MAX", "LAST", "FIRST", "STDDEV", "VARIANCE"),
  { function: "SUM", of: "items" },
  { function: "LAST_N", of: "amount", n: 2 },
  { function: "DISTINCT_COUNT", of: "items" },
  { function: "APPROX_PERCENTILE", of: "amount", percentile: 0.5 },
];

/** Demands the same values of every path. */
const expectEverywhere = async (
  definition: JsonObject,
  sales: readonly Sale[],
  asks: readonly SaleAsk[],
  expected: readonly (readonly Scalar[])[],
): Promise<readonly (readonly string[])[]> => {
  let found: readonly (readonly string[])[] = [];
  for (const { path, values, statuses } of await onEveryPath([definition], sales, asks)) {
    expect(values, path).toEqual(expected);
    found = statuses ?? found;
  }
  return found;
};

const at = (minute: number): SaleAsk => ({ shop: "a", at: minute });

describe("what nothing is, on every path:", () => {
  test("COUNT of nothing is 0, the others are null, and online says NOT_FOUND", async () => {
    const definition = view([{ function: "COUNT" }, { function: "COUNT", of: "amount" }, ...others]);
    const nothing = [0n, 0n, ...others.map(() => null)];
    const sales: Sale[] = [{ shop: "a", amount: 1, items: 1n, at: 0 }];
    // A key never seen, a window that is empty again, and a time before the first fact.
    const asks: SaleAsk[] = [{ shop: "nowhere", at: 30 }, at(300), at(-5)];
    const statuses = await expectEverywhere(definition, sales, asks, [nothing, nothing, nothing]);
    expect(new Set(statuses.flat())).toEqual(new Set(["NOT_FOUND"]));
  });

  test("aggregates skip nulls, and COUNT of a column counts what is not null", async () => {
    const definition = view([
      { function: "COUNT" },
      { function: "COUNT", of: "amount" },
      ...ofAmount("SUM", "MEAN", "MIN", "MAX", "VARIANCE"),
      { function: "LAST_N", of: "amount", n: 5 },
      { function: "DISTINCT_COUNT", of: "items" },
      { function: "APPROX_PERCENTILE", of: "items", percentile: 1 },
    ]);
    const sales: Sale[] = [
      { shop: "a", amount: null, items: 0n, at: 0 },
      { shop: "a", amount: 4, items: null, at: 1 },
      { shop: "a", amount: null, items: 0n, at: 2 },
      { shop: "a", amount: 2, items: null, at: 3 },
      { shop: "b", amount: null, items: null, at: 3 },
    ];
    const statuses = await expectEverywhere(
      definition,
      sales,
      [at(10), { shop: "b", at: 10 }],
      [
        [4n, 2n, 6, 3, 2, 4, 2, [2, 4], 1n, 0],
        [1n, 0n, null, null, null, null, null, null, null, null],
      ],
    );
    // There is a fact of b, whose values are null.
    expect(statuses[1]).toEqual(["PRESENT", "PRESENT", ...new Array(8).fill("NULL_VALUE")]);
  });

  test("FIRST and LAST skip nulls", async () => {
    const sales = [null, 4, 2, null].map((amount, index): Sale => ({ shop: "a", amount, at: index }));
    await expectEverywhere(view(ofAmount("FIRST", "LAST")), sales, [at(10)], [[4, 2]]);
  });

  test("a condition that is null excludes", async () => {
    const definition = view([{ function: "COUNT" }], { where: "amount > 1" });
    const sales = [null, 0, 2].map((amount, index): Sale => ({ shop: "a", amount, at: index }));
    await expectEverywhere(definition, sales, [at(10)], [[1n]]);
  });

  test("VARIANCE and STDDEV are of the sample, and one value has none", async () => {
    const sales = [2, 6].map((amount, index): Sale => ({ shop: "a", amount, at: index }));
    const asks = [at(0.5), at(10)];
    await expectEverywhere(view(ofAmount("VARIANCE", "STDDEV")), sales, asks, [
      [null, null],
      [8, Math.sqrt(8)],
    ]);
  });

  test("SUM of INT64 is INT64 with all its digits", async () => {
    const sales = [2n ** 53n, 1n, 2n ** 62n].map((items, index): Sale => ({ shop: "a", items, at: index }));
    const definition = view([{ function: "SUM", of: "items" }]);
    const [sql, stream] = await onEveryPath([definition], sales, [at(10)]);
    for (const answer of [sql, stream]) expect(answer?.values).toEqual([[2n ** 53n + 1n + 2n ** 62n]]);
  });

  test("the overflow of a SUM of INT64 is an error that names the view", async () => {
    const sales = [2n ** 62n, 2n ** 62n].map((items, index): Sale => ({ shop: "a", items, at: index }));
    const repository = salesViews([view([{ function: "SUM", of: "items" }])]);
    await expect(trainingSetOf(repository, sales, [at(10)], AsOf.EVENT_TIME)).rejects.toThrow(
      /view\.f0 is beyond INT64/,
    );
    const compiled = repository.views.get("view");
    if (compiled === undefined) throw new Error("there is no view");
    const stream = createViewStream(compiled);
    const row = stream.fold(undefined, eventsOf(repository, sales));
    const serve = () => stream.serve(row, Number(microsecondsAt(10)), { nowUs: 0, withExpiredValues: false });
    expect(serve).toThrow(AggregateOverflowError);
    expect(serve).toThrow(/view/);
  });

  test("a null key is a key never seen", async () => {
    const sales: Sale[] = [
      { shop: null, amount: 1, at: 0 },
      { shop: "a", customer: null, amount: 2, at: 0 },
    ];
    const definition = view([{ function: "COUNT" }, ...ofAmount("SUM")]);
    const asks: SaleAsk[] = [
      { shop: null, at: 10 },
      { shop: "a", customer: null, at: 10 },
    ];
    await expectEverywhere(definition, sales, asks, [
      [0n, null],
      [1n, 2],
    ]);
    await expectEverywhere({ ...definition, entity: "visitor" }, sales, asks, [
      [0n, null],
      [0n, null],
    ]);
  });

  test("NaN is a value that MIN, MAX and SUM propagate, as all others that see it", async () => {
    const definition = view([
      ...ofAmount("COUNT", "MIN", "MAX", "SUM", "MEAN", "STDDEV", "VARIANCE", "FIRST", "LAST"),
      { function: "LAST_N", of: "amount", n: 2 },
      { function: "APPROX_PERCENTILE", of: "amount", percentile: 1 },
      { function: "APPROX_PERCENTILE", of: "amount", percentile: 0.3 },
    ]);
    const sales = [0, Number.NaN, 7].map((amount, index): Sale => ({ shop: "a", amount, at: index }));
    const { NaN: nan } = Number;
    await expectEverywhere(definition, sales, [at(10)], [[3n, nan, nan, nan, nan, nan, nan, 0, 7, [7, nan], nan, 0]]);
  });

  test("infinities are values: the least and the greatest, and their sum with their opposite is NaN", async () => {
    const definition = view([
      ...ofAmount("COUNT", "MIN", "MAX", "SUM", "MEAN", "VARIANCE", "LAST"),
      { function: "APPROX_PERCENTILE", of: "amount", percentile: 1 },
    ]);
    const sales = [1, Infinity, -Infinity].map((amount, index): Sale => ({ shop: "a", amount, at: index }));
    const { NaN: nan } = Number;
    await expectEverywhere(
      definition,
      sales,
      [at(1.5), at(10)],
      [
        [2n, 1, Infinity, Infinity, Infinity, nan, Infinity, Infinity],
        [3n, -Infinity, Infinity, nan, nan, nan, -Infinity, Infinity],
      ],
    );
  });
});

describe("a training set", () => {
  test("has columns view__feature behind the entity rows' own columns, and keeps the rows' order", async () => {
    const repository = salesViews([view([{ function: "COUNT" }]), { name: "last", features: [{ name: "amount" }] }]);
    const sales: Sale[] = [{ shop: "a", amount: 1, at: 0 }];
    const asks: SaleAsk[] = [
      { shop: "b", at: 20 },
      { shop: "a", at: 10 },
      { shop: null, at: 0 },
      { shop: "a", at: 10 },
    ];
    const table = await trainingSetOf(repository, sales, asks, AsOf.EVENT_TIME);
    expect(table.schema.fields.map(({ name }) => name)).toEqual([
      "note",
      "shop",
      "customer",
      "event_time",
      "view__f0",
      "last__amount",
    ]);
    const rows = table.toArray().map((row) => ({ ...row?.toJSON() }));
    expect(rows.map(({ note, view__f0, last__amount }) => [note, view__f0, last__amount])).toEqual([
      ["0", 0n, null],
      ["1", 1n, 1],
      ["2", 0n, null],
      ["3", 1n, 1],
    ]);
  });
});
