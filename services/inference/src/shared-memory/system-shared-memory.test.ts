import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { SystemSharedMemory } from "./system-shared-memory.ts";

let folder = "";
let memory: SystemSharedMemory;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "millrace-shm-"));
  writeFileSync(
    join(folder, "a"),
    Uint8Array.from({ length: 32 }, (_, at) => at),
  );
  memory = new SystemSharedMemory(folder);
});

afterEach(() => {
  memory.close();
  rmSync(folder, { recursive: true });
});

const register = (key: string, offset = 0, byteSize = 32, name = "region") =>
  memory.register({ name, key, offset, byteSize });

describe("a region", () => {
  test("is read and written within its bounds, with and without a slash in its key", () => {
    register("/a", 8, 16);
    expect([...memory.read("x", { region: "region", offset: 4, byteSize: 3 })]).toEqual([12, 13, 14]);
    memory.write("y", { region: "region", offset: 14, byteSize: 2 }, Uint8Array.of(1, 2));
    expect([...readFileSync(join(folder, "a")).subarray(21, 25)]).toEqual([21, 1, 2, 24]);
    register("a", 0, 32, "other");
    expect(memory.status("").map(({ name }) => name)).toEqual(["region", "other"]);
  });

  test("is written from memory that is shared with workers", () => {
    register("a");
    const shared = new Uint8Array(new SharedArrayBuffer(4));
    shared.fill(9);
    memory.write("y", { region: "region", offset: 0, byteSize: 4 }, shared);
    expect([...readFileSync(join(folder, "a")).subarray(0, 5)]).toEqual([9, 9, 9, 9, 4]);
  });

  test("stays when its name is unlinked", () => {
    register("a");
    unlinkSync(join(folder, "a"));
    expect([...memory.read("x", { region: "region", offset: 0, byteSize: 2 })]).toEqual([0, 1]);
  });

  test("that became smaller is an error, and is not made larger by a write", () => {
    register("a");
    truncateSync(join(folder, "a"), 8);
    const place = { region: "region", offset: 4, byteSize: 8 };
    expect(() => memory.read("x", place)).toThrow(/which became smaller/);
    expect(() => memory.write("x", place, new Uint8Array(8))).toThrow(/which became smaller/);
    expect(readFileSync(join(folder, "a")).length).toBe(8);
  });

  test.each([
    ["a place beyond it", { region: "region", offset: 30, byteSize: 3 }, /within the 32 bytes of the region/],
    ["another name", { region: "other", offset: 0, byteSize: 1 }, /expected a registered region/],
  ])("does not answer to %s", (_, place, message) => {
    register("a");
    expect(() => memory.read("x", place)).toThrow(message);
    expect(() => memory.write("x", place, Uint8Array.of(1))).toThrow(message);
  });

  test("is forgotten, alone or with all others", () => {
    register("a");
    register("a", 0, 1, "other");
    memory.unregister("region");
    memory.unregister("never");
    expect(memory.status("").map(({ name }) => name)).toEqual(["other"]);
    memory.unregister("");
    expect(memory.status("")).toEqual([]);
    expect(() => memory.status("other")).toThrow(expect.objectContaining({ code: "NOT_FOUND" }));
  });
});

describe("a key is refused", () => {
  test.each([
    ["a path", "../a", /without a path/],
    ["a path below", "b/a", /without a path/],
    ["the folder", ".", /without a path/],
    ["nothing", "", /without a path/],
    ["a text with a NUL", "a\0b", /without a path/],
    ["what is not there", "c", /ENOENT/],
    ["a link out of the folder", "link", /ELOOP/],
    ["a folder", "b", /EISDIR/],
  ])("where it names %s", (_, key, message) => {
    mkdirSync(join(folder, "b"));
    writeFileSync(join(folder, "b", "a"), "a");
    symlinkSync("/etc/hostname", join(folder, "link"));
    expect(() => register(key, 0, 1)).toThrow(message);
    expect(memory.status("")).toEqual([]);
  });

  test("where its object does not hold the region", () => {
    expect(() => register("a", 1, 32)).toThrow(/within the 32 bytes of a, got 32 bytes from 1/);
    expect(() => register("a", 0, 0)).toThrow(/1 or more/);
  });

  test("where the region's name is taken", () => {
    register("a");
    expect(() => register("a")).toThrow(expect.objectContaining({ code: "ALREADY_EXISTS" }));
  });
});
