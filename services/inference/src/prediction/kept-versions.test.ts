import { MillraceError, Reason } from "@millrace/errors";
import { describe, expect, test } from "vitest";
import { KeptVersions } from "./kept-versions.ts";

const unknown = (field: string) =>
  new MillraceError("NOT_FOUND", Reason.FEATURE_SERVICE_UNKNOWN, "It is not there.", {
    violations: [{ field, expected: "another", got: "old" }],
  });

describe("the version of a feature service that a package was trained on", () => {
  test("is asked for where it is kept", async () => {
    const asked: string[] = [];
    const answer = await new KeptVersions().ask("flights", "old", async (version) => asked.push(version));
    expect([answer, asked]).toEqual([1, ["old"]]);
  });

  test("gives way to the one in force where it is not kept, and is tried again after half a minute", async () => {
    let nowMs = 0;
    const kept = new KeptVersions(() => nowMs);
    const asked: string[] = [];
    const ask = async (version: string): Promise<string> => {
      asked.push(version);
      if (version !== "") throw unknown("feature_service_version");
      return "in force";
    };
    expect(await kept.ask("flights", "old", ask)).toBe("in force");
    expect(await kept.ask("flights", "old", ask)).toBe("in force");
    expect(asked).toEqual(["old", "", ""]);
    nowMs = 31_000;
    await kept.ask("flights", "old", ask);
    expect(asked.slice(3)).toEqual(["old", ""]);
  });

  test("passes on every other refusal", async () => {
    const call = new KeptVersions().ask("flights", "old", async () => {
      throw unknown("feature_service");
    });
    await expect(call).rejects.toMatchObject({ reason: Reason.FEATURE_SERVICE_UNKNOWN });
  });
});
