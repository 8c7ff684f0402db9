import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { kvContract } from "./kv.contract.ts";
import { openLmdb } from "./lmdb.ts";
import { openKv } from "./open-kv.ts";

const folders: string[] = [];
const freshFolder = (): string => {
  const folder = mkdtempSync(join(tmpdir(), "millrace-kv-"));
  folders.push(folder);
  return folder;
};
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

kvContract("lmdb", {
  start: async () => {
    const folder = freshFolder();
    return { open: () => openKv(`lmdb:${folder}`), remove: async () => rmSync(folder, { recursive: true }) };
  },
  without: {
    crash: "LMDB lives in its readers and writers; test/processes.test.ts kills those",
    breakConnection: "LMDB is a file: there is no connection",
  },
});

/** How many entries lie in the folder, over or not: they are counted by a clock that stands at the beginning. */
const countAll = async (folder: string): Promise<number> => {
  const kv = await openLmdb(folder, { now: () => 0 });
  let count = 0;
  for await (const _ of kv.scan(Buffer.alloc(0))) count++;
  await kv.close();
  return count;
};

describe("an LMDB folder", () => {
  const unusable = { reasonName: "FOLDER_UNUSABLE", code: "FAILED_PRECONDITION" };

  test("keeps what was written, its versions and its incarnation", async () => {
    const folder = freshFolder();
    const key = Buffer.from("a");
    const first = await openLmdb(folder);
    await first.compareAndSetMany([{ key, expectedVersion: 0, value: Buffer.from("1") }]);
    const incarnation = await first.incarnation();
    await first.close();
    const second = await openLmdb(folder);
    expect(await second.getManyVersioned([key])).toEqual([{ value: Buffer.from("1"), version: 1 }]);
    expect(await second.incarnation()).toBe(incarnation);
    await second.close();
  });

  test("loses entries that are over to the sweep, not only to sight", async () => {
    const folder = freshFolder();
    let now = 1000;
    const kv = await openLmdb(folder, { now: () => now });
    const entries = Array.from({ length: 50 }, (_, i) => ({
      key: Buffer.from(`${i}`),
      expectedVersion: 0,
      value: Buffer.alloc(1),
    }));
    await kv.compareAndSetMany(entries.map((entry, i) => (i % 2 === 0 ? { ...entry, expiresAtMs: 2000 } : entry)));
    now = 3000;
    await expect.poll(() => countAll(folder), { timeout: 10_000 }).toBe(25);
    await kv.close();
  });

  test("that cannot be made, or where a file stands, is refused in one sentence", async () => {
    await expect(openKv("lmdb:/proc/nowhere/kv")).rejects.toMatchObject(unusable);
    const file = join(freshFolder(), "file");
    writeFileSync(file, "");
    await expect(openKv(`lmdb:${file}`)).rejects.toMatchObject(unusable);
    await expect(openKv(`lmdb:${file}/below`)).rejects.toMatchObject(unusable);
  });

  test("that holds something else, or a file that was cut off, is refused and the process lives", async () => {
    const other = freshFolder();
    writeFileSync(join(other, "data.mdb"), "something else entirely".repeat(1000));
    await expect(openKv(`lmdb:${other}`)).rejects.toMatchObject(unusable);
    const cut = freshFolder();
    // The file is written by another process, so that nothing of it is mapped here.
    const script = `const { openKv } = await import("@millrace/kv"); const kv = await openKv("lmdb:${cut}");
      await kv.compareAndSetMany(Array.from({ length: 2000 }, (_, i) => ({ key: Buffer.from("k" + i), expectedVersion: 0, value: Buffer.alloc(3000) })));
      await kv.close();`;
    const written = spawnSync(
      process.execPath,
      ["--conditions=@millrace/source", "--input-type=module", "-e", script],
      {
        cwd: import.meta.dirname,
        encoding: "utf8",
      },
    );
    expect(written.stderr).toBe("");
    truncateSync(join(cut, "data.mdb"), 65_536);
    await expect(openKv(`lmdb:${cut}`)).rejects.toMatchObject(unusable);
    expect(readFileSync(join(cut, "data.mdb")).length).toBe(65_536);
  });
});

describe("a store URL", () => {
  test.each([
    "",
    "nothing",
    "mongo://x",
    "lmdb:",
    "lmdb:./a?b=1",
    "lmdb:./a?durability=none",
    "redis://",
    "redis://a:99999",
    "redis://a,b",
    "redis://a/1?cluster",
    "redis://h/0?prefix=%7Ba%7D",
    "redis://h?passwordEnv=MILLRACE_NO_SUCH",
  ])("%j is refused with what was expected", async (url) => {
    await expect(openKv(url)).rejects.toMatchObject({ reasonName: "URL_INVALID", code: "INVALID_ARGUMENT" });
  });

  test("never shows its password", async () => {
    const error: unknown = await openKv("redis://user:secret@127.0.0.1:1").catch((error: unknown) => error);
    expect(error).toMatchObject({ reasonName: "STORE_UNAVAILABLE" });
    expect(JSON.stringify(error) + String(error)).not.toContain("secret");
  });
});
