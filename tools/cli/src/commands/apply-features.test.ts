import { stripVTControlCharacters } from "node:util";
import { create } from "@bufbuild/protobuf";
import { Change_Kind, ChangeSchema } from "@millrace/contracts/millrace/feature/v1/feature_service";
import { describe, expect, test } from "vitest";
import { planText } from "./apply-features.ts";

describe("a plan on the terminal", () => {
  test("says that there is nothing to do", () => {
    expect(planText([])).toBe("No changes: these definitions are in force.");
  });

  test("has each change with what differs, what it costs and what becomes of whatever reads it", () => {
    const changes = [
      create(ChangeSchema, {
        kind: Change_Kind.UPDATE,
        object: "feature view",
        name: "delays",
        detail: "where: nothing → delay > 0",
        newVersion: true,
        needsBackfill: true,
        backfillRows: 3_000_000n,
        backfillSeconds: 150,
        typicalBytesPerKey: 316n,
        worstBytesPerKey: 860n,
        dependents: [
          { object: "feature service", name: "delay_v1", consequence: "gets version b; a answers until then" },
        ],
      }),
      create(ChangeSchema, { kind: Change_Kind.DELETE, object: "source", name: "old" }),
    ];
    expect(stripVTControlCharacters(planText(changes))).toBe(`~ feature view delays
    where: nothing → delay > 0
    new version: the one before answers until it has caught up
    needs history: millrace materialize delays (3000000 facts, about 3 min)
    316 bytes a key online, at most 860
    feature service delay_v1: gets version b; a answers until then
- source old

Plan: 0 to create, 1 to change, 1 to delete.`);
  });
});
