import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { hasBacking, startKafka, startRedis } from "@millrace/backing";
import { type AlertEvent, PredictionSchema } from "@millrace/contracts/millrace/event/v1/event";
import { Drift_Thresholds, MonitorSchema } from "@millrace/contracts/millrace/monitoring/v1/monitor";
import { GetReportRequest_Format, type Window } from "@millrace/contracts/millrace/monitoring/v1/monitoring_service";
import { Table, tableToIPC, vectorFromArray } from "apache-arrow";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Flight, flights, labelOf, labelRecord, predictionOf, predictionRecord } from "./flights.ts";
import { type RunningMonitoring, runMonitoring } from "./running-monitoring.ts";

/** Days from 1 January: the weeks of 5, 12, 19, 26 February, 5 and 12 March 2001. */
const WEEKS = [35, 42, 49, 56, 63, 70];
const date = (day: number) => timestampFromDate(new Date(Date.UTC(2001, 0, 1 + day)));

const monitor = (changes = {}) =>
  create(MonitorSchema, {
    name: "flights",
    model: "flight_delay",
    windows: { length: "7d", settle: "30d" },
    drift: { thresholds: Drift_Thresholds.FIXED, minRows: 500n, reportOnly: ["hour", "origin"] },
    ...changes,
  });

const trainingSpec = {
  name: "flight_delay",
  dataset: {
    featureService: "delay_v1",
    examples: {
      data: { case: "parquet" as const, value: "flights.parquet" },
      eventTime: "departed_at",
      label: "delay > 15",
    },
    split: { split: { case: "byTime" as const, value: { validationFrom: date(22), testFrom: date(27) } } },
  },
  trainer: {
    trainer: {
      case: "tfjs" as const,
      value: {
        layers: [{ layer: { case: "dense" as const, value: 4 } }],
        epochs: 1,
        batchSize: 64,
        learningRate: 0.001,
      },
    },
  },
  output: { repository: "flight_delay" },
};

const log = async (running: RunningMonitoring, rows: readonly Flight[]) => {
  await running.log.append(
    "predictions",
    rows.map((row) => predictionRecord(predictionOf(row, running.digest))),
  );
  await running.log.append(
    "labels",
    rows.map((row) => labelRecord(labelOf(row))),
  );
};

const firstAlerts = async (running: RunningMonitoring, count: number): Promise<AlertEvent[]> => {
  const alerts: AlertEvent[] = [];
  for await (const { alert } of running.client.watchAlerts({ model: "flight_delay" })) {
    if (alert !== undefined) alerts.push(alert);
    if (alerts.length === count) break;
  }
  return alerts;
};

const measure = (window: Window | undefined, name: string, column = "") => {
  const measures = column === "" ? window?.measures : window?.columns.find((each) => each.column === column)?.measures;
  const found = measures?.find((each) => each.name === name);
  if (found === undefined) throw new Error(`no ${name} of ${column}`);
  return found;
};

const backings = [
  {
    name: "the embedded log and LMDB",
    runs: true,
    start: async () => ({ urls: {}, stop: async () => undefined }),
  },
  {
    name: "Kafka and Redis",
    runs: hasBacking("redis", "kafka"),
    start: async () => {
      const [redis, kafka] = await Promise.all([startRedis(), startKafka()]);
      return {
        urls: { stateUrl: redis.url, eventLogUrl: kafka.url },
        stop: async () => {
          await redis.remove();
          await kafka.remove();
        },
      };
    },
  },
];

for (const backing of backings)
  describe.skipIf(!backing.runs)(`weeks of storms on ${backing.name}`, () => {
    let running: RunningMonitoring;
    let stop: () => Promise<unknown>;
    const storms = new Set([42, 49, 56]);

    beforeAll(async () => {
      const started = await backing.start();
      stop = started.stop;
      running = await runMonitoring(started.urls);
      await running.client.apply({ monitor: monitor() });
      for (const [index, day] of WEEKS.slice(0, 5).entries()) {
        await log(running, flights(10 + index, day, 7, 300, { weather: storms.has(day) ? 6 : 0 }));
        await running.client.awaitCounted({ judgeUntil: date(day + 7), model: "flight_delay" });
      }
    }, 120_000);
    afterAll(async () => {
      await running?.close();
      await stop?.();
    }, 60_000);

    test("raise one drift alert that fires once and clears once, and start no run", async () => {
      const [firing, resolved] = await firstAlerts(running, 2);
      expect(firing).toMatchObject({ state: "FIRING", kind: "DRIFT", action: "REPORT", windowFrom: date(42) });
      expect(firing?.actionReason).toContain("Drift alone does not start a run");
      expect(firing?.causes.map(({ column, source, direction }) => [column, source, direction])).toEqual([
        ["probability", "", "UP"],
        ["origin_delays__mean_delay", "arrivals", "UP"],
      ]);
      expect(resolved).toMatchObject({ state: "RESOLVED", id: firing?.id, windowFrom: date(63) });
      const [topic] = await running.log.bounds("alerts");
      expect(topic).toMatchObject({ first: 0n, end: 2n });
    });

    test("are the windows in which the alert stands, and no others", async () => {
      const { windows } = await running.client.listWindows({ model: "flight_delay" });
      expect(windows.map(({ alerts }) => alerts.map(({ kind }) => kind))).toEqual([
        [],
        ["DRIFT"],
        ["DRIFT"],
        ["DRIFT"],
        [],
      ]);
      expect(windows.every(({ judged, rows }) => judged && rows === 2100n)).toBe(true);
      for (const window of windows) {
        expect(measure(window, "LABEL_COVERAGE").value).toBe(1);
        const realized = measure(window, "LOG_LOSS");
        const estimated = measure(window, "ESTIMATED_LOG_LOSS");
        expect(Math.abs(realized.value - estimated.value)).toBeLessThan(0.05);
        expect(measure(window, "WASSERSTEIN", "hour").threshold).toBeUndefined();
      }
    });

    test("count a prediction that comes twice as a duplicate, and a late label in the window of its prediction", async () => {
      const [late] = flights(99, WEEKS[0] as number, 1, 1);
      if (late === undefined) throw new Error("no flight");
      const record = predictionRecord(predictionOf(late, running.digest));
      await running.log.append("labels", [labelRecord(labelOf(late)), labelRecord(labelOf(late))]);
      await running.client.awaitCounted({});
      const early = await running.client.getStatus({ model: "flight_delay" });
      expect(early.models[0]?.labelsWithoutPrediction).toBe(1n);
      await running.log.append("predictions", [record, record]);
      await running.client.awaitCounted({ judgeUntil: date(70), model: "flight_delay" });
      const { windows } = await running.client.listWindows({ model: "flight_delay", to: date(42) });
      expect(windows).toHaveLength(1);
      expect(windows[0]?.rows).toBe(2101n);
      expect(measure(windows[0], "LABEL_COVERAGE").value).toBe(1);
      expect(measure(windows[0], "DUPLICATE_SHARE").value).toBeCloseTo(1 / 2102, 12);
      const status = await running.client.getStatus({ model: "flight_delay" });
      expect(status.models[0]).toMatchObject({ labelsWithoutPrediction: 0n, labels: 10501n, predictions: 10501n });
    });

    test("keep each prediction to be found by its id, with its label", async () => {
      const [flight] = flights(10, 35, 7, 300);
      if (flight === undefined) throw new Error("no flight");
      const found = await running.client.getPrediction({ id: flight.id });
      expect(found.prediction).toEqual(predictionOf(flight, running.digest));
      expect(found.label).toEqual(labelOf(flight));
      await expect(running.client.getPrediction({ id: "nobody" })).rejects.toMatchObject({
        code: "NOT_FOUND",
        reason: "MONITOR_UNKNOWN",
      });
    });

    test("send records that cannot be read to the dead letters, and go on", async () => {
      await running.log.append("predictions", [
        { key: new Uint8Array([1]), value: new Uint8Array([0xff, 0xff, 0xff]) },
        { key: new Uint8Array([2]), value: null },
        predictionRecord(
          create(PredictionSchema, {
            id: "x",
            model: "flight_delay",
          }),
        ),
      ]);
      await running.client.awaitCounted({});
      const { models } = await running.client.getStatus({});
      expect(models.find(({ model }) => model === "")?.deadLetters).toEqual({ MALFORMED: 2n });
      expect(models.find(({ model }) => model === "flight_delay")?.deadLetters).toEqual({ MALFORMED: 1n });
      const [letters] = await running.log.bounds("monitoring-dead-letters");
      expect(letters?.end).toBe(3n);
    });
  });

describe("a feature whose unit breaks", () => {
  let running: RunningMonitoring;
  const asked: string[] = [];

  beforeAll(async () => {
    running = await runMonitoring({
      startRunOf: () => async (name, event) => {
        asked.push(`${name} ${event.id}`);
        return { runId: "run-1" };
      },
    });
    await running.client.apply({
      monitor: monitor({ actions: { startRun: { spec: trainingSpec, coolDown: "30d" } } }),
    });
    await log(running, flights(20, 35, 7, 300));
    await log(running, flights(21, 42, 7, 300, { unit: -20, missing: 0.2 }));
    await running.client.awaitCounted({ judgeUntil: date(49), model: "flight_delay" });
    await log(running, flights(22, 49, 7, 300, { unit: -20, missing: 0.2 }));
    await running.client.awaitCounted({ judgeUntil: date(56), model: "flight_delay" });
  }, 60_000);
  afterAll(() => running?.close());

  test("is named with its view, source and owner as a matter of data quality", async () => {
    const alert = (await firstAlerts(running, 3)).find(({ kind }) => kind === "DATA_QUALITY");
    const cause = alert?.causes.find(({ measure: name }) => name === "OUT_OF_RANGE_SHARE");
    expect(cause).toMatchObject({
      column: "origin_delays__mean_delay",
      featureView: "origin_delays",
      source: "arrivals",
    });
    expect(alert?.causes.map(({ measure: name }) => name)).toContain("NOT_FOUND_SHARE");
    expect(alert?.actionReason).toContain("airport-data");
    expect(alert?.action).toBe("REPORT");
  });

  test("starts one run, since performance fell, and no other within the cool-down", async () => {
    const alerts = await firstAlerts(running, 3);
    const performance = alerts.find(({ kind }) => kind === "PERFORMANCE");
    expect(performance).toMatchObject({ state: "FIRING", action: "run-1" });
    expect(asked).toEqual([`flights ${performance?.id}`]);
    expect(alerts.find(({ kind }) => kind === "DRIFT")?.actionReason).toContain("PERFORMANCE alert");
    const { windows } = await running.client.listWindows({ model: "flight_delay" });
    expect(windows[1]?.alerts.find(({ kind }) => kind === "PERFORMANCE")?.action).toBe("run-1");
  });

  test("shows in a page that stands on its own and holds no script", async () => {
    const { content, mediaType } = await running.client.getReport({ model: "flight_delay" });
    expect(mediaType).toContain("text/html");
    expect(content).not.toMatch(/<script|src=|href=|url\(/i);
    expect(content.match(/<svg/g)?.length).toBeGreaterThan(6);
    expect(content).toContain("origin_delays__mean_delay");
    expect(content).toContain("run-1");
    if (process.env.MILLRACE_REPORT_FILE !== undefined) await writeFile(process.env.MILLRACE_REPORT_FILE, content);
    const json = await running.client.getReport({ model: "flight_delay", format: GetReportRequest_Format.JSON });
    expect(JSON.parse(json.content).windows).toHaveLength(3);
  });

  test("shows in the metrics, with bounded labels", async () => {
    const text = await running.metrics.metrics();
    expect(text).toContain('millrace_monitoring_open_alerts{model="flight_delay",kind="PERFORMANCE"} 1');
    expect(text).toContain('millrace_monitoring_runs_started_total{model="flight_delay"} 1');
  });
});

describe("a model that nobody set up", () => {
  let running: RunningMonitoring;
  beforeAll(async () => {
    running = await runMonitoring();
    await log(running, flights(30, 35, 2, 600));
    await running.client.awaitCounted({ judgeUntil: date(36), model: "flight_delay" });
  }, 60_000);
  afterAll(() => running?.close());

  test("is watched by day from its first prediction, with thresholds from its baseline", async () => {
    const { models } = await running.client.getStatus({});
    expect(models[0]).toMatchObject({ model: "flight_delay", predictions: 1200n, message: "" });
    expect(models[0]?.monitor).toMatchObject({ name: "default", windows: { length: "1d" } });
    const { windows } = await running.client.listWindows({ model: "flight_delay" });
    expect(windows.map(({ rows, judged }) => [rows, judged])).toEqual([
      [600n, true],
      [600n, false],
    ]);
    const drift = measure(windows[0], "WASSERSTEIN", "probability");
    expect(drift.rank).toBeTypeOf("number");
    expect(drift.errorBound).toBeLessThan(0.05);
  });

  test("is counted without a baseline where its package is unknown or it has none, and says why", async () => {
    const [flight] = flights(31, 35, 1, 1);
    if (flight === undefined) throw new Error("no flight");
    await running.log.append("predictions", [
      predictionRecord(predictionOf(flight, "", { id: "bare", model: "bare_file" })),
      predictionRecord(predictionOf(flight, `sha256:${"0".repeat(64)}`, { id: "gone", model: "gone" })),
    ]);
    await running.client.awaitCounted({});
    const { models } = await running.client.getStatus({});
    expect(models.find(({ model }) => model === "bare_file")?.message).toContain("without a package");
    expect(models.find(({ model }) => model === "gone")?.message).not.toBe("");
  });

  test("is refused where it was never seen, and so are monitors and labels that make no sense", async () => {
    await expect(running.client.listWindows({ model: "nobody" })).rejects.toMatchObject({ code: "NOT_FOUND" });
    await expect(
      running.client.apply({
        monitor: monitor({ windows: { length: "2d", timeZone: "Mars" }, slices: ["a", "b", "c", "d", "e"] }),
      }),
    ).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
      reason: "MONITOR_INVALID",
      violations: [{ field: "windows.length" }, { field: "windows.time_zone" }, { field: "slices" }],
    });
    await expect(
      running.client.recordLabels({ labels: [{ predictionId: "", value: Number.NaN }] }),
    ).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
    await expect(
      running.client.compare({
        reference: { data: { case: "parquet", value: "../../etc/passwd" } },
        current: { data: { case: "parquet", value: join("a", "b") } },
      }),
    ).rejects.toMatchObject({ reason: "COMPARISON_INVALID", violations: [{ field: "reference.parquet" }] });
    const arrow = { data: { case: "arrow" as const, value: new TextEncoder().encode("no table") } };
    await expect(running.client.compare({ reference: arrow, current: arrow })).rejects.toMatchObject({
      reason: "COMPARISON_INVALID",
      violations: [{ field: "reference.arrow" }],
    });
  });

  test("compares tables that come as Arrow streams", async () => {
    const table = (first: number) => ({
      data: {
        case: "arrow" as const,
        value: tableToIPC(
          new Table({ delay: vectorFromArray(Float64Array.from({ length: 200 }, (_, i) => first + i)) }),
        ),
      },
    });
    const same = await running.client.compare({ reference: table(0), current: table(0), tests: ["ks"] });
    expect(same).toMatchObject({ datasetDrift: false, columns: [{ column: "delay", test: "ks", pValue: 1 }] });
    const moved = await running.client.compare({ reference: table(0), current: table(150), tests: ["ks"] });
    expect(moved).toMatchObject({ datasetDrift: true, columns: [{ value: 0.75, verdict: "DRIFT" }] });
  });

  test("takes labels through the call as from the topic", async () => {
    const [flight] = flights(30, 35, 2, 600);
    if (flight === undefined) throw new Error("no flight");
    const before = await running.client.awaitCounted({ model: "flight_delay" });
    const [unlabelled] = flights(32, 35, 1, 1);
    if (unlabelled === undefined) throw new Error("no flight");
    await running.log.append("predictions", [predictionRecord(predictionOf(unlabelled, running.digest))]);
    await running.client.recordLabels({ labels: [labelOf(unlabelled), labelOf(flight)] });
    const after = await running.client.awaitCounted({ model: "flight_delay" });
    expect(after.labels - before.labels).toBe(1n);
  });
});
