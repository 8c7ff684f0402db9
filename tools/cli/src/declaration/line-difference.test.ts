import { expect, test } from "vitest";
import { lineDifference } from "./line-difference.ts";

test("a difference shows what changes, two lines around it, and that others are left out", () => {
  expect(lineDifference("a\nb\nc\nd\ne\n", "a\nb\nc\nx\ne\nf\n")).toEqual([
    "…",
    "  b",
    "  c",
    "- d",
    "+ x",
    "  e",
    "+ f",
  ]);
  expect(lineDifference("", "a\n")).toEqual(["- ", "+ a"]);
  expect(lineDifference("a\n", "a\n")).toEqual(["…"]);
});
