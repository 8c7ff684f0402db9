import { readFile } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { literalNames } from "./check-function.ts";
import { tabledNames } from "./function-table.ts";

describe("docs/expressions.md", () => {
  test("names every function and operator that the subset has", async () => {
    const docs = await readFile(new URL("../../docs/expressions.md", import.meta.url), "utf8");
    const words = new Set(docs.split(/[^a-z0-9_+*/%^|<>=-]+/));
    const internal = ["timezone"];
    const missing = [...tabledNames, ...literalNames].filter((name) => !words.has(name) && !internal.includes(name));
    expect(missing).toEqual([]);
  });
});
