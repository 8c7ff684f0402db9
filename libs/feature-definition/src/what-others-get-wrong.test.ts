import type { JsonObject } from "@bufbuild/protobuf";
import { FeatureStatus } from "@millrace/contracts/millrace/feature/v1/column";
import { AsOf } from "@millrace/contracts/millrace/feature/v1/feature_service";
import { Int32, Int64, Utf8, vectorFromArray } from "apache-arrow";
import { describe, expect, test } from "vitest";
import type { CompiledView, Scalar } from "./compiled.ts";
import {
  eventsOf,
  microsecondsAt,
  onEveryPath,
  type Sale,
  type SaleAsk,
  salesViews,
  trainingSetOf,
} from "./stream/every-path.reference.ts";
import { createViewStream, encodeEntityKey } from "./stream/index.ts";
import { seeded } from "./stream/random-sales.reference.ts";

/*
 * Defects that were found in other feature stores, each a test that holds here on the offline path and in the stream.
 * `services/feature-serving/test/what-others-get-wrong.test.ts` holds the running service to the same.
 */

const seed = Number(process.env.MILLRACE_SEED ?? Math.floor(Math.random() * 2 ** 31));

const windows = (aggregates: readonly JsonObject[], more: JsonObject = {}): JsonObject => ({
  name: "windows",
  aggregates: aggregates.map((aggregate, index) => ({ name: `f${index}`, window: "10m", of: "amount", ...aggregate })),
  ...more,
});
const latest = (more: JsonObject = {}): JsonObject => ({ name: "latest", features: [{ name: "amount" }], ...more });

const day = 24 * 60;

/** Demands the same values of every path. */
const expectEverywhere = async (
  definition: JsonObject,
  sales: readonly Sale[],
  asks: readonly SaleAsk[],
  expected: readonly (readonly Scalar[])[],
  asOf: AsOf = AsOf.EVENT_TIME,
): Promise<readonly (readonly string[])[]> => {
  let found: readonly (readonly string[])[] = [];
  for (const { path, values, statuses } of await onEveryPath([definition], sales, asks, asOf)) {
    expect(values, path).toEqual(expected);
    found = statuses ?? found;
  }
  return found;
};

const onlyView = (
  view: JsonObject,
): { view: CompiledView; events: (sales: readonly Sale[]) => ReturnType<typeof eventsOf> } => {
  const repository = salesViews([view]);
  const [compiled] = repository.views.values();
  if (compiled === undefined) throw new Error("there is no view");
  return { view: compiled, events: (sales) => eventsOf(repository, sales) };
};

const permutations = <T>(items: readonly T[]): T[][] =>
  items.length <= 1
    ? [[...items]]
    : items.flatMap((item, index) =>
        permutations(items.filter((_, other) => other !== index)).map((rest) => [item, ...rest]),
      );

describe("rows of a training set lost or multiplied", () => {
  test("rows that share key and time each keep their place", async () => {
    const sales: Sale[] = [{ shop: "a", amount: 1, at: 0 }];
    const repository = salesViews([windows([{ function: "SUM" }]), latest()]);
    const asks = Array.from({ length: 5 }, (): SaleAsk => ({ shop: "a", at: 5 }));
    const table = await trainingSetOf(repository, sales, asks, AsOf.EVENT_TIME);
    expect([...(table.getChild("note") ?? [])]).toEqual(["0", "1", "2", "3", "4"]);
    expect([...(table.getChild("latest__amount") ?? [])]).toEqual([1, 1, 1, 1, 1]);
  });

  test("rows whose candidates are all expired stay, with null", async () => {
    const sales: Sale[] = [{ shop: "a", amount: 1, at: 0 }];
    const asks: SaleAsk[] = [
      { shop: "a", at: 61 },
      { shop: "a", at: 5 },
    ];
    await expectEverywhere(latest({ ttl: "1h" }), sales, asks, [[null], [1]]);
  });

  test("equal event times do not fan out: one of them is the latest, and each counts once", async () => {
    const sales = [1, 2, 3].map((amount): Sale => ({ shop: "a", amount, at: 0 }));
    await expectEverywhere(latest(), sales, [{ shop: "a", at: 5 }], [[3]]);
    await expectEverywhere(windows([{ function: "SUM" }]), sales, [{ shop: "a", at: 5 }], [[6]]);
  });

  test("the keys (1, 23) and (12, 3) are two entities", async () => {
    const sales: Sale[] = [
      { shop: "1", customer: 23n, amount: 1, at: 0 },
      { shop: "12", customer: 3n, amount: 2, at: 0 },
    ];
    const asks = sales.map(({ shop, customer }) => ({ shop, customer: customer ?? null, at: 5 }));
    await expectEverywhere(latest({ entity: "visitor" }), sales, asks, [[1], [2]]);
    await expectEverywhere(windows([{ function: "SUM" }], { entity: "visitor" }), sales, asks, [[1], [2]]);
  });

  test.each([AsOf.EVENT_TIME, AsOf.KNOWN_AT])(
    `rows out are rows in, in their order, whatever the facts (seed ${seed}, as of %i)`,
    async (asOf) => {
      const random = seeded(seed);
      const shops = ["a", "b", null, "never"];
      const sales = Array.from({ length: 300 }, (): Sale => {
        const at = random(6) * 10;
        const knownAt = at + (random(3) === 0 ? random(200) : 0);
        return { shop: shops[random(3)] ?? null, customer: BigInt(random(2)), amount: random(9), at, knownAt };
      });
      const asks = Array.from({ length: 400 }, (): SaleAsk => {
        return {
          shop: shops[random(4)] ?? null,
          customer: random(5) === 0 ? null : BigInt(random(3)),
          at: random(8) * 10,
        };
      });
      const repository = salesViews([
        windows([{ function: "SUM" }, { function: "LAST_N", n: 2 }]),
        latest({ ttl: "15m" }),
        { ...latest(), name: "of_visitor", entity: "visitor" },
      ]);
      const table = await trainingSetOf(repository, sales, asks, asOf);
      expect([...(table.getChild("note") ?? [])]).toEqual(asks.map((_, index) => String(index)));
      expect([...(table.getChild("shop") ?? [])]).toEqual(asks.map(({ shop }) => shop));
    },
  );
});

describe("max, min and standard deviation from cumulative tiles", () => {
  const functions = ["MAX", "MIN", "STDDEV"].map((name) => ({ function: name }));
  const sales: Sale[] = [
    { shop: "a", amount: 5, at: 0 },
    { shop: "a", amount: 3, at: 6 },
    { shop: "a", amount: 4, at: 8 },
  ];

  test("of 5, 3 and 4 the greatest is 5, the least 3, and the deviation 1", async () => {
    await expectEverywhere(windows(functions), sales, [{ shop: "a", at: 9 }], [[5, 3, 1]]);
  });

  test("an expired window keeps no maximum: it is that of what is left, then null", async () => {
    const asks = [15, 30].map((at) => ({ shop: "a", at }));
    await expectEverywhere(windows(functions), sales, asks, [
      [4, 3, Math.sqrt(0.5)],
      [null, null, null],
    ]);
  });

  test("an empty window is null, not 0", async () => {
    await expectEverywhere(windows(functions), sales, [{ shop: "b", at: 9 }], [[null, null, null]]);
  });

  test("they leave coarse tiles too: a maximum of days ago goes with its window", async () => {
    const old: Sale[] = [
      { shop: "a", amount: 100, at: 0 },
      ...sales.map((sale) => ({ ...sale, at: sale.at + 8 * day })),
    ];
    const week = windows([
      { function: "MAX", window: "7d" },
      { function: "MAX", window: "14d" },
    ]);
    await expectEverywhere(week, old, [{ shop: "a", at: 8 * day + 9 }], [[5, 100]]);
  });
});

describe("ttl ignored online", () => {
  const sales: Sale[] = [{ shop: "a", amount: 1, at: 0 }];

  test("a row older than its ttl is OUTSIDE_MAX_AGE, its value withheld, offline too", async () => {
    const asks = [60, 60.0001].map((at) => ({ shop: "a", at }));
    const statuses = await expectEverywhere(latest({ ttl: "1h" }), sales, asks, [[1], [null]]);
    expect(statuses).toEqual([["PRESENT"], ["OUTSIDE_MAX_AGE"]]);
  });

  test("its value is given only where it is asked for, and keeps its status", () => {
    const { view, events } = onlyView(latest({ ttl: "1h" }));
    const stream = createViewStream(view);
    const row = stream.fold(undefined, events(sales));
    const served = stream.serve(row, Number(microsecondsAt(100)), { nowUs: 0, withExpiredValues: true });
    expect(served).toMatchObject({ values: [1], statuses: [FeatureStatus.OUTSIDE_MAX_AGE] });
  });
});

describe("late rows never reach the online store", () => {
  const aggregates = [
    { function: "COUNT", window: "1h" },
    { function: "SUM", window: "13h" },
    { function: "MAX", window: "14d" },
    { function: "LAST_N", n: 3, window: "14d" },
  ];
  const onTime: Sale[] = [
    { shop: "a", amount: 1, at: 0 },
    { shop: "a", amount: 2, at: 3 * day },
  ];
  const late: Sale = { shop: "a", amount: 9, at: 3 * day - 30, knownAt: 3 * day + 10 };
  const ask: SaleAsk = { shop: "a", at: 3 * day + 20 };

  test("a late fact patches its tile: it counts at its own time, online and offline", async () => {
    await expectEverywhere(windows(aggregates), [...onTime, late], [ask], [[2n, 11, 9, [2, 9, 1]]]);
  });

  test("also a tile that has become coarse, and the row is what it is without lateness", () => {
    const { view, events } = onlyView(windows(aggregates));
    const stream = createViewStream(view);
    const all = events([...onTime, { shop: "a", amount: 4, at: 3 * day + 15 }, late]);
    let row: Uint8Array | undefined;
    for (const event of all) row = stream.fold(row, [event]) ?? row;
    const options = { nowUs: 0, withExpiredValues: false };
    const t = Number(microsecondsAt(4 * day));
    // A partition's offsets only grow: those in time have offsets of their own.
    const sorted = [...all].sort((one, other) => one.eventTimeUs - other.eventTimeUs);
    const inTime = stream.fold(
      undefined,
      sorted.map((event, offset) => ({ ...event, offset })),
    );
    expect(stream.serve(row, t, options)).toEqual(stream.serve(inTime, t, options));
  });

  test("one later than allowed is left out on every path, by its own two times", async () => {
    const tooLate = { ...late, at: 2 * day, knownAt: 3 * day + 1 };
    await expectEverywhere(windows(aggregates), [...onTime, tooLate], [ask], [[1n, 2, 2, [2, 1]]]);
  });

  test("a late row of a latest-row view counts where nothing newer stands before it", async () => {
    await expectEverywhere(latest(), [onTime[0] ?? late, late], [ask], [[9]]);
  });
});

describe("a correction written later leaks into training", () => {
  const sales: Sale[] = [
    { shop: "a", amount: 1, at: 0 },
    { shop: "a", amount: 99, at: 0, knownAt: 120 },
  ];
  const asks = [60, 130].map((at) => ({ shop: "a", at }));

  test("known-at training has what was known at the row's time", async () => {
    await expectEverywhere(latest(), sales, asks, [[1], [99]], AsOf.KNOWN_AT);
    const sum = windows([{ function: "SUM", window: "3h" }]);
    await expectEverywhere(sum, sales, asks, [[1], [100]], AsOf.KNOWN_AT);
  });

  test("event-time training has what is known today", async () => {
    await expectEverywhere(latest(), sales, asks, [[99], [99]]);
  });
});

describe("INT32 and INT64 keys do not meet", () => {
  test("a key is typed by its entity: entity rows with 32 and 64 bits find the same facts", async () => {
    const repository = salesViews([latest({ entity: "visitor" })]);
    const sales: Sale[] = [{ shop: "a", customer: 7n, amount: 1, at: 0 }];
    const asks: SaleAsk[] = [{ shop: "a", customer: 7n, at: 5 }];
    for (const customer of [vectorFromArray([7], new Int32()), vectorFromArray([7n], new Int64())]) {
      const table = await trainingSetOf(repository, sales, asks, AsOf.EVENT_TIME, { customer });
      expect(table.getChild("latest__amount")?.get(0), String(customer.type)).toBe(1);
    }
  });

  test("a key of another type is refused and finds nothing by accident", async () => {
    const repository = salesViews([latest({ entity: "visitor" })]);
    const customer = vectorFromArray(["7"], new Utf8());
    const call = trainingSetOf(repository, [], [{ shop: "a", at: 5 }], AsOf.EVENT_TIME, { customer });
    await expect(call).rejects.toThrow(/customer/);
  });

  test("a key is encoded one way, from a number or from its digits in a record", () => {
    const { view, events } = onlyView(latest({ entity: "visitor" }));
    const [event] = events([{ shop: "a", customer: 7n, amount: 1, at: 0 }]);
    expect(encodeEntityKey(view.entity, ["a", event?.row[1] ?? null])).toEqual(encodeEntityKey(view.entity, ["a", 7n]));
  });
});

describe("statuses differ by server", () => {
  test("PRESENT, NULL_VALUE, NOT_FOUND and OUTSIDE_MAX_AGE are four different things", async () => {
    const sales: Sale[] = [
      { shop: "full", amount: 1, at: 0 },
      { shop: "null", amount: null, at: 0 },
    ];
    const asks = [
      { shop: "full", at: 5 },
      { shop: "null", at: 5 },
      { shop: "none", at: 5 },
      { shop: "full", at: -5 },
      { shop: "full", at: 90 },
      { shop: "null", at: 90 },
    ];
    const statuses = await expectEverywhere(latest({ ttl: "1h" }), sales, asks, [
      [1],
      [null],
      [null],
      [null],
      [null],
      [null],
    ]);
    expect(statuses.flat()).toEqual([
      "PRESENT",
      "NULL_VALUE",
      "NOT_FOUND",
      "NOT_FOUND",
      "OUTSIDE_MAX_AGE",
      "OUTSIDE_MAX_AGE",
    ]);
  });
});

describe("out-of-order writes overwrite newer rows", () => {
  const sales: Sale[] = [
    { shop: "a", amount: 1, at: 0 },
    { shop: "a", amount: 2, at: 10, knownAt: 40 },
    { shop: "a", amount: 3, at: 10, knownAt: 30 },
    { shop: "a", amount: null, at: 5 },
  ];

  test("the older never wins, in any of the 24 orders of arrival", () => {
    const { view, events } = onlyView(latest());
    const stream = createViewStream(view);
    for (const order of permutations(sales)) {
      let row: Uint8Array | undefined;
      for (const event of events(order)) row = stream.fold(row, [event]) ?? row;
      const served = stream.serve(row, Number(microsecondsAt(50)), { nowUs: 0, withExpiredValues: false });
      expect(served.values, order.map(({ amount }) => amount).join()).toEqual([2]);
    }
  });

  test("windows have the same values in any of the 24 orders of arrival", () => {
    const { view, events } = onlyView(
      windows([
        { function: "LAST", window: "1h" },
        { function: "FIRST", window: "1h" },
        { function: "LAST_N", n: 2, window: "1h" },
      ]),
    );
    const stream = createViewStream(view);
    for (const order of permutations(sales)) {
      let row: Uint8Array | undefined;
      for (const event of events(order)) row = stream.fold(row, [event]) ?? row;
      const served = stream.serve(row, Number(microsecondsAt(50)), { nowUs: 0, withExpiredValues: false });
      expect(served.values).toEqual([2, 1, [2, 3]]);
    }
  });

  test("the files may be in any order too", async () => {
    for (const order of permutations(sales).slice(0, 6)) {
      await expectEverywhere(latest(), order, [{ shop: "a", at: 50 }], [[2]]);
    }
  });
});
