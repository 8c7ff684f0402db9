import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { Reason } from "./index.ts";

const codes = [
  "CANCELLED",
  "INVALID_ARGUMENT",
  "DEADLINE_EXCEEDED",
  "NOT_FOUND",
  "ALREADY_EXISTS",
  "PERMISSION_DENIED",
  "RESOURCE_EXHAUSTED",
  "FAILED_PRECONDITION",
  "ABORTED",
  "OUT_OF_RANGE",
  "UNIMPLEMENTED",
  "INTERNAL",
  "UNAVAILABLE",
  "DATA_LOSS",
  "UNAUTHENTICATED",
];

test("the README has one row for each reason, with a meaning and a status, and no other row", () => {
  const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");
  const table = readme.slice(readme.indexOf("## Reasons"), readme.indexOf("## Behaviour"));
  const rows = [...table.matchAll(/^\| `([A-Z_]+)` +\| (.+?) +\| (.+?) +\|$/gm)];
  const reasons = Object.keys(Reason).filter((name) => name !== "UNSPECIFIED");
  expect(rows.map(([, reason]) => reason).toSorted()).toEqual(reasons.toSorted());
  for (const [, reason, meaning, status] of rows) {
    expect(meaning, reason).toMatch(/^[A-Z].*\.$/);
    for (const code of status?.split(", ") ?? []) {
      expect(codes, reason).toContain(code);
    }
  }
});
