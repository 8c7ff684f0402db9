import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { eventLogContract } from "../event-log.contract.ts";
import { openEventLog } from "../open-event-log.ts";
import { openEmbeddedLog } from "./embedded-log.ts";

const folders: string[] = [];
const freshFolder = (): string => {
  const folder = mkdtempSync(join(tmpdir(), "millrace-log-"));
  folders.push(folder);
  return folder;
};
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

eventLogContract("the embedded log", {
  start: async () => {
    const folder = freshFolder();
    return { open: () => openEventLog(`log:${folder}`), remove: async () => rmSync(folder, { recursive: true }) };
  },
  without: {
    crash: "it lives in its readers and writers; test/processes.test.ts kills those",
    breakConnection: "it is a file: there is no connection",
  },
});

describe("the embedded log in a folder", () => {
  test("keeps topics, records and commits when it is opened again", async () => {
    const folder = freshFolder();
    const first = await openEmbeddedLog(folder);
    const made = await first.ensureTopic("t", 1);
    await first.append("t", [{ value: Buffer.from("1") }]);
    await first.close();
    const second = await openEmbeddedLog(folder, { durability: "process" });
    expect(await second.topic("t")).toEqual(made);
    expect(await second.append("t", [{ value: Buffer.from("2") }])).toEqual([{ partition: 0, offset: 1n }]);
    await second.close();
  });

  test("lets whole batches go that are older than the retention, and keeps counting offsets", async () => {
    let now = 1_000_000;
    const log = await openEmbeddedLog(freshFolder(), { retentionMs: 60_000, sweepEveryMs: 10, now: () => now });
    await log.ensureTopic("t", 1);
    await log.append("t", [{ value: Buffer.from("old") }, { value: Buffer.from("old too") }]);
    now += 50_000;
    await log.append("t", [{ value: Buffer.from("young") }]);
    now += 20_000;
    await expect.poll(() => log.bounds("t")).toEqual([{ partition: 0, first: 2n, end: 3n }]);
    await expect(Array.fromAsync(log.read("t", { partition: 0, offset: 0n }))).rejects.toMatchObject({
      reasonName: "OFFSET_OUT_OF_RANGE",
    });
    expect(await log.offsetsAt("t", 0)).toEqual([{ partition: 0, offset: 2n }]);
    const seen: bigint[] = [];
    const consumer = await log.consume({
      topics: ["t"],
      group: "g",
      handler: {
        onBatch: async ({ records }) => {
          seen.push(...records.map(({ offset }) => offset));
        },
      },
    });
    await expect.poll(() => seen).toEqual([2n]);
    expect(await log.append("t", [{ value: null }])).toEqual([{ partition: 0, offset: 3n }]);
    await consumer.close();
    await log.close();
  });

  test("gives a batch that was committed too late to the partition's new owner", async () => {
    const folder = freshFolder();
    let lateNow = 1_000_000;
    // A member whose clock stands still never renews its lease: to the other it is as good as dead.
    const late = await openEmbeddedLog(folder, { now: () => lateNow });
    const prompt = await openEmbeddedLog(folder, { now: () => 1_000_000_000 });
    await late.ensureTopic("t", 1);
    await late.append("t", [{ value: null }]);
    const held = Promise.withResolvers<void>();
    const begun = Promise.withResolvers<void>();
    let lateFailure: unknown;
    const lateMember = await late.consume({
      topics: ["t"],
      group: "g",
      handler: {
        onBatch: async (_, member) => {
          begun.resolve();
          await held.promise;
          await member.commit("t", [{ partition: 0, offset: 1n }]).catch((error: unknown) => {
            lateFailure = error;
            throw error;
          });
        },
      },
    });
    await begun.promise;
    const seen: bigint[] = [];
    const promptMember = await prompt.consume({
      topics: ["t"],
      group: "g",
      handler: {
        onBatch: async ({ records }) => {
          seen.push(...records.map(({ offset }) => offset));
        },
      },
    });
    await expect.poll(() => seen).toEqual([0n]);
    held.resolve();
    await expect.poll(() => lateFailure).toMatchObject({ reasonName: "CONFLICT", code: "ABORTED" });
    expect(await prompt.committed("t", "g")).toEqual([]);
    lateNow += 1;
    await lateMember.close();
    await lateMember.stopped;
    await promptMember.close();
    await late.close();
    await prompt.close();
  });

  test("begins a group at what is still held, where its commit lies before or behind that", async () => {
    const log = await openEmbeddedLog(freshFolder());
    await log.ensureTopic("t", 1);
    await log.append("t", [{ value: Buffer.from("1") }]);
    const seen: bigint[] = [];
    const consumer = await log.consume({
      topics: ["t"],
      group: "g",
      handler: {
        onAssigned: async () => [{ partition: 0, offset: 50n }],
        onBatch: async ({ records }) => {
          seen.push(...records.map(({ offset }) => offset));
        },
      },
    });
    await expect.poll(() => seen).toEqual([0n]);
    await consumer.close();
    await log.close();
  });

  test("that cannot be used is refused in one sentence", async () => {
    const file = join(freshFolder(), "file");
    writeFileSync(file, "");
    const unusable = { reasonName: "FOLDER_UNUSABLE", code: "FAILED_PRECONDITION" };
    await expect(openEventLog(`log:${file}`)).rejects.toMatchObject(unusable);
    await expect(openEventLog("log:/proc/nowhere")).rejects.toMatchObject(unusable);
  });
});

describe("an event log URL", () => {
  test.each([
    "",
    "x",
    "nats://a",
    "log:",
    "log:a?b=1",
    "log:a?durability=none",
    "log:a?retentionMs=0",
    "kafka://",
    "kafka://a",
    "kafka://a:1?b=1",
  ])("%j is refused with what was expected", async (url) => {
    await expect(openEventLog(url)).rejects.toMatchObject({ reasonName: "URL_INVALID", code: "INVALID_ARGUMENT" });
  });
});
