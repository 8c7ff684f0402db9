import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type EventLog, openEventLog } from "@millrace/event-log";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { LoggableRows } from "./loggable-rows.ts";
import { PredictionLog } from "./prediction-log.ts";

let folder: string;
let events: EventLog;
let counts: { logged: number; dropped: Record<string, number>; failed: number };

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "millrace-prediction-log-"));
  events = await openEventLog(`log:${folder}`);
  counts = { logged: 0, dropped: {}, failed: 0 };
});

afterEach(async () => {
  await events.close();
  rmSync(folder, { recursive: true });
});

const open = (topic = "predictions", maxBuffered = 1000, maxBufferedBytes = 1_000_000) =>
  new PredictionLog(
    events,
    { topic, maxBuffered, maxBufferedBytes, closeLimitMs: 500 },
    {
      onLogged: (count) => {
        counts.logged += count;
      },
      onDropped: (count, reason) => {
        counts.dropped[reason] = (counts.dropped[reason] ?? 0) + count;
      },
      onFailed: () => {
        counts.failed++;
      },
    },
  );

const utf8 = new TextEncoder();
/** Rows whose keys tell them apart, each so many bytes. */
const predictions = (count: number, prefix = "p", bytesEach = 10): LoggableRows => ({
  count,
  bytes: count * bytesEach,
  records: (from, to) =>
    Array.from({ length: to - from }, (_, at) => ({
      key: utf8.encode(`${prefix}${from + at}`),
      value: new Uint8Array(bytesEach),
    })),
});

const keys = async (topic = "predictions") => {
  const found: string[] = [];
  for (const { partition } of await events.bounds(topic)) {
    for await (const { records } of events.read(topic, { partition, offset: 0n })) {
      found.push(...records.map(({ key }) => new TextDecoder().decode(key)));
    }
  }
  return found.sort();
};

describe("predictions that are offered", () => {
  test("are all in the log after a close", async () => {
    await events.ensureTopic("predictions", 2);
    const log = open();
    log.offer(predictions(600, "a"));
    log.offer(predictions(3, "b"));
    await log.close();
    expect((await keys()).length).toBe(603);
    expect(counts).toEqual({ logged: 603, dropped: {}, failed: 0 });
  });

  test("are dropped and counted where the buffer is full", async () => {
    await events.ensureTopic("predictions", 1);
    const log = open("predictions", 5);
    log.offer(predictions(8));
    await log.close();
    expect(await keys()).toEqual(["p0", "p1", "p2", "p3", "p4"]);
    expect(counts.dropped).toEqual({ BUFFER_FULL: 3 });
  });

  test("are dropped and counted where they would hold more memory than the buffer may", async () => {
    await events.ensureTopic("predictions", 1);
    const log = open("predictions", 100, 100);
    log.offer(predictions(2, "a", 40));
    log.offer(predictions(1, "b", 40));
    await log.close();
    expect(await keys()).toEqual(["a0", "a1"]);
    expect(counts.dropped).toEqual({ BUFFER_FULL: 1 });
  });

  test("have room again once the log has those before them", async () => {
    await events.ensureTopic("predictions", 1);
    const log = open("predictions", 2, 100);
    for (const prefix of ["a", "b", "c"]) {
      log.offer(predictions(2, prefix, 50));
      while (log.buffered > 0) await new Promise((resolve) => setTimeout(resolve, 5));
    }
    await log.close();
    expect(await keys()).toEqual(["a0", "a1", "b0", "b1", "c0", "c1"]);
    expect(counts.dropped).toEqual({});
  });

  test("are dropped and counted where a record is larger than a log takes, and hold up none behind them", async () => {
    await events.ensureTopic("predictions", 1);
    const log = open("predictions", 10, 10_000_000);
    log.offer(predictions(1, "wide", 1_500_000));
    log.offer(predictions(1, "narrow"));
    await log.close();
    expect(await keys()).toEqual(["narrow0"]);
    expect(counts).toEqual({ logged: 1, dropped: { TOO_LARGE: 1 }, failed: 0 });
  });

  test("are dropped and counted where they cannot be encoded, and hold up none behind them", async () => {
    await events.ensureTopic("predictions", 1);
    const log = open();
    const broken = () => {
      throw new RangeError("It is no text.");
    };
    log.offer({ ...predictions(2), records: broken });
    log.offer(predictions(1, "sound"));
    await expect(log.append({ ...predictions(1), records: broken })).rejects.toThrow("It is no text.");
    await log.close();
    expect(await keys()).toEqual(["sound0"]);
    expect(counts.dropped).toEqual({ NOT_ENCODED: 3 });
    log.offer(predictions(1, "late"));
    expect(counts.dropped).toEqual({ NOT_ENCODED: 3, STOPPED: 1 });
  });

  test("wait for a log that does not take them, and are written once when it does", async () => {
    const log = open("late");
    log.offer(predictions(2));
    while (counts.failed === 0) await new Promise((resolve) => setTimeout(resolve, 10));
    await events.ensureTopic("late", 1);
    while (log.buffered > 0) await new Promise((resolve) => setTimeout(resolve, 10));
    await log.close();
    expect(await keys("late")).toEqual(["p0", "p1"]);
  });

  test("are dropped and counted where the log takes none until the limit of a close", async () => {
    const log = open("never");
    log.offer(predictions(2));
    await log.close();
    expect(counts).toMatchObject({ logged: 0, dropped: { STOPPED: 2 } });
  });
});

describe("predictions that are appended", () => {
  test("are in the log when the call resolves", async () => {
    await events.ensureTopic("predictions", 2);
    const log = open();
    await Promise.all([log.append(predictions(2, "a")), log.append(predictions(2, "b"))]);
    expect(await keys()).toEqual(["a0", "a1", "b0", "b1"]);
    await log.close();
  });

  test("fail with the log's error, and are not tried again behind the caller's back", async () => {
    const log = open("absent");
    await expect(log.append(predictions(1))).rejects.toMatchObject({ reasonName: "TOPIC_UNKNOWN" });
    expect(log.buffered).toBe(0);
    await log.close();
  });

  test("fail where they are larger than a log takes, and when the log is closed", async () => {
    await events.ensureTopic("predictions", 1);
    const log = open("predictions", 10, 10_000_000);
    await expect(log.append(predictions(1, "wide", 1_500_000))).rejects.toMatchObject({ reasonName: "TOO_LARGE" });
    await log.close();
    await expect(log.append(predictions(1))).rejects.toMatchObject({ reasonName: "STOPPING" });
    expect(await keys()).toEqual([]);
  });
});
