import { create } from "@bufbuild/protobuf";
import { ModelPackageSchema, ProfileSchema } from "@millrace/contracts/millrace/model/v1/model_package";
import { MonitorSchema } from "@millrace/contracts/millrace/monitoring/v1/monitor";
import { WindowSchema } from "@millrace/contracts/millrace/monitoring/v1/monitoring_service";
import { type JudgedSeries, JudgedSeriesSchema } from "@millrace/contracts/millrace/monitoring/v1/state";
import { describe, expect, test } from "vitest";
import { watchRules } from "../monitors/watch-rules.ts";
import { watchedPackage } from "../packages/watched-package.ts";
import type { Judgement } from "../windows/apply-rules.ts";
import type { AssembledWindow } from "../windows/assemble-window.ts";
import { advanceSeries } from "./advance-series.ts";

const DAY_US = 86_400_000_000n;
const watched = watchedPackage(create(ModelPackageSchema, { name: "m" }), undefined);

interface Change {
  readonly forWindows?: number;
  readonly kind?: Judgement["kind"];
  readonly rows?: bigint;
  readonly day?: number;
}

/** A day with one measure, judged at threshold 1 with a hysteresis of 0.1. */
const day = (index: number, value: number, change: Change = {}): AssembledWindow => {
  const fromUs = BigInt(change.day ?? index) * DAY_US;
  return {
    counted: {
      model: "m",
      packageDigest: "sha256:0123456789abcdef",
      slice: "",
      fromUs,
      toUs: fromUs + DAY_US,
      profile: create(ProfileSchema, { rows: change.rows ?? 1000n }),
      duplicates: 0,
      watched,
    },
    window: create(WindowSchema),
    judgements: [
      {
        kind: change.kind ?? "DRIFT",
        column: "x",
        output: false,
        measure: "WASSERSTEIN",
        value,
        threshold: 1,
        above: true,
        violated: value >= 1,
        cleared: value < 0.9,
        forWindows: change.forWindows ?? 1,
        direction: "UP",
      },
    ],
  };
};

const rules = watchRules(create(MonitorSchema, { name: "watch", model: "m" }));
const empty = create(JudgedSeriesSchema, { model: "m", packageDigest: "sha256:0123456789abcdef" });

const judged = (windows: readonly AssembledWindow[], before: JudgedSeries = empty, untilDays = 100): JudgedSeries =>
  advanceSeries(before, windows, rules, BigInt(untilDays) * DAY_US, true) ?? before;

const sent = (series: JudgedSeries) =>
  series.outbox.map(({ event }) => [event?.state, Number((event?.windowFrom?.seconds ?? 0n) / 86_400n)]);

describe("an alert", () => {
  test("fires once and clears once, and stands in every window between", () => {
    const series = judged([0, 2, 3, 2, 0].map((value, index) => day(index, value)));
    expect(sent(series)).toEqual([
      ["FIRING", 1],
      ["RESOLVED", 4],
    ]);
    expect(series.windows.map(({ alerts }) => alerts.length)).toEqual([0, 1, 1, 1, 0]);
    expect(series.openAlerts).toEqual([]);
  });

  test("does not clear while its cause is within the hysteresis", () => {
    const series = judged([2, 0.95, 2, 0.95, 0.5].map((value, index) => day(index, value)));
    expect(sent(series)).toEqual([
      ["FIRING", 0],
      ["RESOLVED", 4],
    ]);
  });

  test("waits for as many windows in a row as its rule says, with no gap between them", () => {
    const three = { forWindows: 3 };
    expect(sent(judged([2, 2, 0, 2, 2, 2].map((value, index) => day(index, value, three))))).toEqual([["FIRING", 5]]);
    const gap = [day(0, 2, three), day(1, 2, three), day(2, 2, { ...three, day: 3 })];
    expect(sent(judged(gap))).toEqual([]);
  });

  test("is the same whether windows are judged one by one or all at once", () => {
    const windows = [0, 2, 3, 0, 2, 0].map((value, index) => day(index, value));
    const stepwise = windows.reduce(
      (series, _, index) => judged(windows.slice(0, index + 1), series, index + 1),
      empty,
    );
    expect(stepwise).toEqual(judged(windows));
  });

  test("is not sent again where nothing changed", () => {
    const windows = [0, 2].map((value, index) => day(index, value));
    expect(advanceSeries(judged(windows), windows, rules, 100n * DAY_US, true)).toBeUndefined();
  });

  test("fires for a window that late rows changed, and clears with the next", () => {
    const before = judged([day(0, 0), day(1, 0)]);
    const after = judged([day(0, 2, { rows: 1200n }), day(1, 0)], before);
    expect(sent(after)).toEqual([
      ["FIRING", 0],
      ["RESOLVED", 1],
    ]);
  });

  test("is not decided for a window that has not ended", () => {
    expect(sent(judged([day(0, 0), day(1, 2)], empty, 1))).toEqual([]);
  });
});

describe("what follows from an alert", () => {
  const spec = {
    name: "again",
    dataset: { examples: { data: { case: "parquet" as const, value: "a.parquet" }, eventTime: "at", label: "y" } },
  };
  const retraining = watchRules(
    create(MonitorSchema, { name: "watch", model: "m", actions: { startRun: { spec, coolDown: "3d" } } }),
  );
  const runs = (windows: readonly AssembledWindow[], canStartRuns = true) =>
    (advanceSeries(empty, windows, retraining, 100n * DAY_US, canStartRuns)?.outbox ?? [])
      .filter(({ event }) => event?.state === "FIRING")
      .map(({ startRun }) => startRun);

  test("is no run where the world only drifted", () => {
    expect(runs([day(0, 2)])).toEqual([false]);
  });

  test("is a run where performance fell, and none within the cool-down", () => {
    const falls = [2, 0, 2, 0, 0, 2].map((value, index) => day(index, value, { kind: "PERFORMANCE" }));
    expect(runs(falls)).toEqual([true, false, true]);
  });

  test("is no run without a training service, and the alert says so", () => {
    expect(runs([day(0, 2, { kind: "PERFORMANCE" })], false)).toEqual([false]);
  });
});
