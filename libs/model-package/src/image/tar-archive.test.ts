import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { tarArchive } from "./tar-archive.ts";

const text = (bytes: string) => new TextEncoder().encode(bytes);

test("an archive is listed and unpacked by tar, in lexicographic order, without times and owners", () => {
  const folder = mkdtempSync(join(tmpdir(), "millrace-tar-"));
  const large = new Uint8Array(100_000).fill(7);
  const archive = tarArchive([
    { path: "models/b/1/model.onnx", bytes: large },
    { path: "models/a", bytes: text("of 512 bytes".padEnd(512, ".")) },
    { path: "models/b/README.md", bytes: text("") },
  ]);
  writeFileSync(join(folder, "x.tar"), archive);
  const tar = (...words: string[]) =>
    execFileSync("tar", words, { cwd: folder, encoding: "utf8", env: { ...process.env, TZ: "UTC", LC_ALL: "C" } });
  const listed = tar("--list", "--verbose", "--numeric-owner", "--full-time", "-f", "x.tar").trim().split("\n");
  expect(listed.map((line) => line.replaceAll(/ +/g, " "))).toEqual([
    "drwxr-xr-x 0/0 0 1970-01-01 00:00:00 models/",
    "-rw-r--r-- 0/0 512 1970-01-01 00:00:00 models/a",
    "drwxr-xr-x 0/0 0 1970-01-01 00:00:00 models/b/",
    "drwxr-xr-x 0/0 0 1970-01-01 00:00:00 models/b/1/",
    "-rw-r--r-- 0/0 100000 1970-01-01 00:00:00 models/b/1/model.onnx",
    "-rw-r--r-- 0/0 0 1970-01-01 00:00:00 models/b/README.md",
  ]);
  tar("--extract", "-f", "x.tar");
  expect(Buffer.compare(readFileSync(join(folder, "models/b/1/model.onnx")), large)).toBe(0);
  rmSync(folder, { recursive: true });
});
