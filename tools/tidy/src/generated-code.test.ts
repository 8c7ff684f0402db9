import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { compareFolders } from "./generated-code.ts";

test("generated code is stale where a file is missing, changed, or of no contract", () => {
  const folder = mkdtempSync(join(tmpdir(), "millrace-compare-"));
  const write = (path: string, text: string) => {
    mkdirSync(join(folder, path, ".."), { recursive: true });
    writeFileSync(join(folder, path), text);
  };
  write("fresh/v1/same.ts", "a");
  write("present/v1/same.ts", "a");
  write("fresh/v1/changed.ts", "a");
  write("present/v1/changed.ts", "b");
  write("fresh/missing.ts", "a");
  write("present/left.ts", "a");
  expect(compareFolders(join(folder, "fresh"), join(folder, "present"))).toEqual([
    { path: "left.ts", difference: "is generated from no contract any more" },
    { path: "missing.ts", difference: "is missing" },
    { path: "v1/changed.ts", difference: "is of another text" },
  ]);
  rmSync(folder, { recursive: true });
});
