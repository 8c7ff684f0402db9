import { FeatureStatus, ValueType } from "@millrace/contracts/millrace/feature/v1/column";
import { AggregateFunction } from "@millrace/contracts/millrace/feature/v1/feature_repository";
import { describe, expect, test } from "vitest";
import type {
  AggregateView,
  CompiledAggregate,
  CompiledExpression,
  CompiledSource,
  LatestRowView,
  Scalar,
} from "../compiled.ts";
import { originOf } from "./applied-positions.ts";
import { createViewStream } from "./create-view-stream.ts";
import { countsIn } from "./event-filter.ts";
import type { SourceEvent } from "./source-event.ts";
import { TimeInThePastError } from "./time-in-the-past-error.ts";
import { referenceValues } from "./view-stream.reference.ts";
import type { ViewStream } from "./view-stream.ts";

const minute = 60_000_000;
const hour = 60 * minute;
const day = 24 * hour;
const columns = ["airport", "delay", "count", "city"] as const;
const types = { airport: ValueType.STRING, delay: ValueType.DOUBLE, count: ValueType.INT64, city: ValueType.STRING };

const fields = columns.map((name) => ({ name, type: types[name] }));
const source: CompiledSource = {
  name: "arrivals",
  fields,
  derived: [],
  columns: fields,
  eventTime: "arrived_at",
  createdAt: undefined,
  allowedLatenessUs: BigInt(day),
  maxFutureSkewUs: BigInt(5 * minute),
  batch: undefined,
  stream: undefined,
  owner: "",
};

const column = (name: (typeof columns)[number]): CompiledExpression => ({
  text: name,
  type: types[name],
  columns: [name],
  evaluate: (row) => row[columns.indexOf(name)] ?? null,
  toSql: () => name,
});

const delayed: CompiledExpression = {
  ...column("delay"),
  text: "delay IS NULL OR delay > -30",
  type: ValueType.BOOL,
  evaluate: (row) => row[1] === null || Number(row[1]) > -30,
};

const entity = { name: "airport", keys: [{ name: "airport", type: ValueType.STRING }] };
const base = { version: "0", entity, source, keyColumns: ["airport"], online: true, owner: "" };

const windows: [windowUs: number, hopUs: number][] = [
  [hour, 5 * minute],
  [3 * hour, 5 * minute],
  [24 * hour, hour],
  [7 * day, hour],
  [14 * day, day],
];

const doubles: readonly AggregateFunction[] = [
  AggregateFunction.MEAN,
  AggregateFunction.STDDEV,
  AggregateFunction.VARIANCE,
];

function typeOf(fn: AggregateFunction, of: CompiledExpression | undefined): ValueType {
  if (doubles.includes(fn)) return ValueType.DOUBLE;
  return fn === AggregateFunction.COUNT ? ValueType.INT64 : (of?.type ?? ValueType.INT64);
}

function aggregate(fn: AggregateFunction, of: CompiledExpression | undefined, window: number): CompiledAggregate {
  const [windowUs, hopUs] = windows[window] ?? [hour, hour];
  const type = typeOf(fn, of);
  const name = `f${fn}_${of?.text}_${window}`;
  return { name, function: fn, of, windowUs: BigInt(windowUs), hopUs: BigInt(hopUs), type };
}

const { COUNT, SUM, MEAN, MIN, MAX, LAST, FIRST, STDDEV, VARIANCE } = AggregateFunction;
const everyFunction: AggregateView = {
  ...base,
  kind: "aggregate",
  name: "delays",
  where: delayed,
  aggregates: windows.flatMap((_window, index) => [
    aggregate(COUNT, undefined, index),
    aggregate(COUNT, column("delay"), index),
    aggregate(SUM, column("delay"), index),
    aggregate(SUM, column("count"), index),
    aggregate(MEAN, column("delay"), index),
    aggregate(MEAN, column("count"), index),
    aggregate(MIN, column("delay"), index),
    aggregate(MAX, column("city"), index),
    aggregate(MAX, column("count"), index),
    aggregate(LAST, column("delay"), index),
    aggregate(FIRST, column("city"), index),
    aggregate(STDDEV, column("delay"), index),
    aggregate(VARIANCE, column("delay"), index),
  ]),
};
const latestRow: LatestRowView = {
  ...base,
  kind: "latestRow",
  name: "profile",
  where: undefined,
  ttlUs: BigInt(2 * hour),
  features: [column("delay"), column("count"), column("city")].map((expression) => ({
    name: expression.text,
    type: expression.type,
    expression,
  })),
};

const seed = Number(process.env.MILLRACE_SEED ?? Math.floor(Math.random() * 2 ** 31));

function seeded(start: number): (below: number) => number {
  let state = start >>> 0;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

function randomEvents(random: (below: number) => number, count: number, spanUs: number): SourceEvent[] {
  const startUs = Date.UTC(2001, 0, 1) * 1000;
  const grains = [minute, hour, 7_777_777, 1];
  return Array.from({ length: count }, (_, index): SourceEvent => {
    const grain = grains[random(grains.length)] ?? 1;
    const eventTimeUs = startUs + Math.floor(random(spanUs) / grain) * grain;
    const skew = random(6);
    const createdAtUs =
      eventTimeUs + (skew === 0 ? -random(5 * minute) : skew === 1 ? random(day) : skew === 2 ? hour : 0);
    const row: Scalar[] = [
      "ATL",
      random(5) === 0 ? null : random(2000) / 7 - 40,
      random(6) === 0 ? null : BigInt(random(1000) - 500),
      random(6) === 0 ? null : (["å", "a", "B", "𝄞", ""][random(5)] ?? null),
    ];
    return { row, eventTimeUs, createdAtUs, partition: random(2), offset: index, origin: originOf("epoch") };
  });
}

function shuffle<T>(items: T[], random: (below: number) => number): T[] {
  const shuffled = [...items];
  for (let index = shuffled.length - 1; index > 0; index--) {
    const other = random(index + 1);
    [shuffled[index], shuffled[other]] = [shuffled[other] as T, shuffled[index] as T];
  }
  return shuffled;
}

/** Folds in batches of random size, as a partition's offsets come, with every batch repeated now and then. */
function foldAll(stream: ViewStream, events: readonly SourceEvent[], random: (below: number) => number) {
  let row: Uint8Array | undefined;
  const numbered = events.map((event, offset) => ({ ...event, offset }));
  const renumbered = numbered.filter((event) => countsIn(stream.view, event.row));
  for (let at = 0; at < renumbered.length; ) {
    const batch = renumbered.slice(at, at + 1 + random(20));
    row = stream.fold(row, batch) ?? row;
    if (random(4) === 0) row = stream.fold(row, renumbered.slice(Math.max(0, at - 10), at + batch.length)) ?? row;
    at += batch.length;
  }
  return { row, events: numbered };
}

function expectEqual(actual: readonly Scalar[], expected: readonly Scalar[], hint: string) {
  expected.forEach((value, index) => {
    const got = actual[index] ?? null;
    if (typeof value === "number" && typeof got === "number" && !Number.isNaN(value)) {
      const tolerance = 1e-9 * Math.max(1, Math.abs(value));
      expect(Math.abs(got - value) <= tolerance, `${hint} [${index}]: ${got} for ${value}`).toBe(true);
    } else expect(got, `${hint} [${index}]`).toEqual(value);
  });
}

describe(`a view's row (seed ${seed})`, () => {
  const options = { nowUs: 0, withExpiredValues: false };
  for (const view of [everyFunction, latestRow]) {
    test(`${view.name}: equals the reference at every time that it answers, whatever the order of arrival`, () => {
      for (let round = 0; round < 40; round++) {
        const random = seeded(seed + round);
        const spanUs = [2 * hour, 2 * day, 20 * day][round % 3] ?? hour;
        const made = randomEvents(random, 1 + random(150), spanUs);
        const stream = createViewStream(view);
        const { row, events } = foldAll(stream, shuffle(made, random), random);
        const counted = events.filter((event) => countsIn(view, event.row));
        if (counted.length === 0) continue;
        const known = Math.max(...counted.map((e) => Math.min(e.eventTimeUs, e.createdAtUs)));
        const times = [known, known + 1, known + random(hour), known + random(3 * day), known + random(20 * day)];
        times.push(...events.filter((e) => e.eventTimeUs >= known).map((e) => e.eventTimeUs));
        for (const t of times) {
          const served = stream.serve(row, t, options);
          expectEqual(served.values, referenceValues(view, events, t), `round ${round}, t ${t - known}`);
        }
      }
    });
  }

  test("gives the same values whatever the batches and their order", () => {
    const random = seeded(seed);
    const events = randomEvents(random, 300, 3 * day).map((event) => ({ ...event, partition: 0 }));
    const stream = createViewStream({ ...everyFunction, where: undefined });
    const numbered = (list: SourceEvent[]) => list.map((event) => ({ ...event, partition: event.offset, offset: 0 }));
    const first = stream.fold(undefined, numbered(events));
    let second: Uint8Array | undefined;
    for (const event of numbered(shuffle(events, random))) second = stream.fold(second, [event]) ?? second;
    const t = Math.max(...events.map((event) => event.eventTimeUs));
    const a = stream.serve(first, t, options).values;
    const b = stream.serve(second, t, options).values;
    a.forEach((value, index) => {
      if (typeof value !== "number") expect(b[index]).toEqual(value);
      else expect(Math.abs(Number(b[index]) - value)).toBeLessThanOrEqual(1e-9 * Math.max(1, Math.abs(value)));
    });
  });
});

describe("an aggregate row", () => {
  const count = aggregate(COUNT, undefined, 0);
  const view: AggregateView = { ...everyFunction, where: undefined, aggregates: [count] };
  const stream = createViewStream(view);
  const at = Date.UTC(2001, 0, 1, 12) * 1000;
  const event = (eventTimeUs: number, offset: number): SourceEvent => {
    return { row: ["ATL", 1, 1n, "a"], eventTimeUs, createdAtUs: eventTimeUs, partition: 0, offset, origin: 1 };
  };
  const options = { nowUs: at, withExpiredValues: false };

  test("does not count an event at exactly t, and counts it a microsecond later", () => {
    const row = stream.fold(undefined, [event(at - 1, 0), event(at, 1)]);
    expect(stream.serve(row, at, options).values).toEqual([1n]);
    expect(stream.serve(row, at + 1, options).values).toEqual([2n]);
  });

  test("refuses a time before its newest event, naming GetTrainingSet", () => {
    const row = stream.fold(undefined, [event(at, 0)]);
    expect(() => stream.serve(row, at - 1, options)).toThrow(TimeInThePastError);
    expect(() => stream.serve(row, at - 1, options)).toThrow(/GetTrainingSet/);
  });

  test("answers now although an event of the near future is applied, and counts it when its time has come", () => {
    const future = { ...event(at + minute, 0), createdAtUs: at };
    const row = stream.fold(undefined, [future]);
    expect(stream.serve(row, undefined, options).values).toEqual([0n]);
    expect(stream.serve(row, at + minute + 1, options).values).toEqual([1n]);
  });

  test("says NOT_FOUND with a count of 0 where no event is in any window", () => {
    expect(stream.serve(undefined, at, options)).toEqual({
      statuses: [FeatureStatus.NOT_FOUND],
      values: [0n],
      eventTimesUs: [0],
    });
    const row = stream.fold(undefined, [event(at - day, 0)]);
    expect(stream.serve(row, at, options).statuses).toEqual([FeatureStatus.NOT_FOUND]);
  });

  test("keeps at most the tiles that its windows can reach", () => {
    const week = createViewStream({ ...view, aggregates: [count, aggregate(COUNT, undefined, 3)] });
    let row: Uint8Array | undefined;
    for (let index = 0; index < 60 * 24 * 10; index += 2) row = week.fold(row, [event(at + index * minute, index)]);
    expect(row?.length).toBeLessThan(200 * 6);
    expect(row?.length).toBeLessThan(week.size().worstBytes);
    const t = at + 10 * day;
    expect(week.serve(row, t, options).values[1]).toBe(BigInt((7 * 24 * 60) / 2));
  });

  test("takes a topic that was made anew as new, and drops what it knew of the old one", () => {
    const row = stream.fold(undefined, [event(at - 2, 5)]);
    expect(stream.fold(row, [event(at - 2, 5)])).toBeUndefined();
    const again = stream.fold(row, [{ ...event(at - 1, 0), origin: 2 }]);
    expect(stream.serve(again, at, options).values).toEqual([2n]);
  });
});

describe("a latest row", () => {
  const stream = createViewStream(latestRow);
  const at = Date.UTC(2001, 0, 1, 12) * 1000;
  const event = (eventTimeUs: number, offset: number, delay: Scalar): SourceEvent => {
    return { row: ["ATL", delay, null, "a"], eventTimeUs, createdAtUs: eventTimeUs, partition: 0, offset, origin: 1 };
  };

  test("counts at exactly its own time, and to the end of its ttl", () => {
    const row = stream.fold(undefined, [event(at, 0, 7)]);
    const options = { nowUs: at, withExpiredValues: false };
    expect(stream.serve(row, at, options).values[0]).toBe(7);
    expect(stream.serve(row, at + 2 * hour, options).statuses[0]).toBe(FeatureStatus.PRESENT);
    expect(stream.serve(row, at + 2 * hour + 1, options)).toMatchObject({
      values: [null, null, null],
      statuses: [FeatureStatus.OUTSIDE_MAX_AGE, FeatureStatus.OUTSIDE_MAX_AGE, FeatureStatus.OUTSIDE_MAX_AGE],
    });
    expect(stream.serve(row, at + 2 * hour + 1, { ...options, withExpiredValues: true }).values[0]).toBe(7);
  });

  test("is never overwritten by an older row that comes later", () => {
    const row = stream.fold(undefined, [event(at, 0, 7)]);
    const after = stream.fold(row, [event(at - minute, 1, 8)]);
    expect(stream.serve(after, at, { nowUs: at, withExpiredValues: false }).values[0]).toBe(7);
  });

  test("tells a stored null from a row that is not there", () => {
    const row = stream.fold(undefined, [event(at, 0, null)]);
    const options = { nowUs: at, withExpiredValues: false };
    expect(stream.serve(row, at, options).statuses[0]).toBe(FeatureStatus.NULL_VALUE);
    expect(stream.serve(undefined, at, options).statuses[0]).toBe(FeatureStatus.NOT_FOUND);
  });
});
