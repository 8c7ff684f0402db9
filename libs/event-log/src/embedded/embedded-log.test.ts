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
