import { mkdirSync, mkdtempSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openLmdbFolder } from "./open-lmdb-folder.ts";
import { refuseDamagedFile } from "./refuse-damaged-file.ts";

describe("an LMDB folder", () => {
  let parent: string;
  let made = 0;
  const fresh = (): string => join(parent, `${++made}`, "below");
  const open = (path: string): ReturnType<typeof openLmdbFolder> =>
    openLmdbFolder(path, { maxTables: 2, durability: "process" });
  beforeAll(() => {
    parent = mkdtempSync(join(tmpdir(), "millrace-lmdb-"));
  });
  afterAll(() => rmSync(parent, { recursive: true, force: true }));

  const refusal = (path: string): string => {
    try {
      open(path);
    } catch (error) {
      return String(error);
    }
    return "";
  };

  test("is made with the folders above it, and keeps entries with their versions over tables", async () => {
    const path = fresh();
    const first = open(path);
    const [a, b] = [first.table({ name: "a" }), first.table({ name: "b" })];
    const key = Buffer.from("k");
    expect(await a.put(key, Buffer.from("1"), 1)).toBe(true);
    expect(await a.ifVersion(key, 1, () => void b.put(key, Buffer.from("2"), 7))).toBe(true);
    expect(await a.ifVersion(key, 2, () => void b.put(key, Buffer.from("3"), 8))).toBe(false);
    await first.close();
    const second = open(path);
    expect(second.table({ name: "b" }).getEntry(key)).toEqual({ value: Buffer.from("2"), version: 7 });
    await second.close();
  });

  test("is refused in one sentence where it cannot be made, or a file stands in its way", () => {
    expect(refusal("/proc/nowhere/below")).toMatch(
      /^FolderUnusableError: The folder .* cannot be used: it cannot be made\.$/,
    );
    const file = fresh();
    mkdirSync(join(file, ".."), { recursive: true });
    writeFileSync(file, "");
    expect(refusal(file)).toMatch(/a file of that name stands in its place/);
    expect(refusal(join(file, "below"))).toMatch(/a file stands where a folder of its path is needed/);
  });

  test("is refused where its file is something else", () => {
    const path = fresh();
    mkdirSync(path, { recursive: true });
    writeFileSync(join(path, "data.mdb"), Buffer.alloc(20_000, 7));
    expect(refusal(path)).toMatch(/its data\.mdb is no LMDB file/);
    writeFileSync(join(path, "data.mdb"), "short");
    expect(refusal(path)).toMatch(/its data\.mdb is no LMDB file/);
  });

  test("is refused where its file was cut off, at whatever length", async () => {
    const path = fresh();
    const folder = open(path);
    const table = folder.table({ name: "a" });
    for (let i = 0; i < 50; i++) await table.put(Buffer.from(`k${i}`), Buffer.alloc(20_000, i), 1);
    await folder.close();
    const file = join(path, "data.mdb");
    refuseDamagedFile(path, file);
    const { size } = statSync(file);
    // The newest root lies among the last pages that were written; a cut before it is seen.
    for (const length of [size / 2, 65_536, 8192, 5000, 100]) {
      truncateSync(file, length);
      expect(() => refuseDamagedFile(path, file)).toThrow(/cut off|damaged|no LMDB file/);
    }
  });
});
